"""Reads the multipart forms of captioning: every field is known, given once and valid.

Fields other than pictures may stand in the URL's query as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from models.api.options import CaptionOptions
from serving.base.problems import (
    FieldError,
    Problem,
    from_validation,
    invalid_field,
    invalid_fields,
)
from serving.contract.requests import BatchForm, CaptionForm
from serving.contract.schemas import MAX_ID_LENGTH

IMAGE_FIELD = "image"
BATCH_FIELD = "images"
MOST_IMAGES = 32
"""Most pictures in one batch."""
OPTION_FIELDS = tuple(CaptionOptions.model_fields)
OTHER_FIELDS = ("model", "id")
_MAX_FIELD_BYTES = 16 * 1024
_MAX_PARTS = 200
"""Parts that are counted to say what is wrong with them; with more, the form is not read on."""


async def read_caption_form(request: Request) -> CaptionForm:
    """Read and check the form of `POST /caption`.

    Raises:
        Problem: 400 the body is no form; 413 it is too large; 415 it is of another type; 422 a
            field is missing, unknown, repeated or out of range.
    """
    form = await _read(request, IMAGE_FIELD, most=1)
    return CaptionForm(form.images[0], form.options, form.model, form.id)


async def read_batch_form(request: Request) -> BatchForm:
    """Read and check the form of `POST /caption_batch`.

    Raises:
        Problem: as for `read_caption_form`.
    """
    return await _read(request, BATCH_FIELD, MOST_IMAGES)


async def _read(request: Request, file_field: str, most: int) -> BatchForm:
    form = await read_multipart(request, file_field, _MAX_PARTS, _MAX_FIELD_BYTES)
    try:
        # `/caption?model=NAME` means the same as the field; a query is not left unread.
        fields = FormData([*request.query_params.multi_items(), *form.multi_items()])
        return await _check(fields, file_field, most, quoted=_is_bentoml_client(request))
    finally:
        await form.close()


async def read_multipart(
    request: Request, file_field: str, max_parts: int, max_field_bytes: int
) -> FormData:
    """Read a multipart form, whatever its fields. To be closed by the caller.

    Args:
        request: not read yet.
        file_field: where the picture is expected, for the refusal to name it.
        max_parts: most files, and most other fields.
        max_field_bytes: most bytes of a field that is no file.

    Raises:
        Problem: 400 the body is no form; 413 it is too large; 415 it is of another type.
    """
    header = request.headers.get("content-type", "")
    if parse_options_header(header)[0] != b"multipart/form-data":
        received = header.split(";")[0][:100] or "nothing"
        raise Problem(
            "unsupported-media-type",
            f"Send multipart/form-data with the picture in the field {file_field!r}; "
            f"the Content-Type says {received}.",
        )
    try:
        return await request.form(
            max_files=max_parts, max_fields=max_parts, max_part_size=max_field_bytes
        )
    except HTTPException as error:
        raise Problem("malformed-request", f"The form cannot be read: {error.detail}") from None
    except ValueError:  # a charset that is no word
        raise Problem("malformed-request", "The form cannot be read.") from None


def _is_bentoml_client(request: Request) -> bool:
    """Whether BentoML's own client asks: it sends every field as JSON, texts in quotes."""
    return request.headers.get("user-agent", "").startswith("BentoML HTTP Client/")


def _unquoted(value: str) -> str:
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else value


async def _check(form: FormData, file_field: str, most: int, quoted: bool) -> BatchForm:
    errors = list(_field_errors(form, file_field, most))
    if errors:
        raise invalid_fields(errors)
    texts = {name: str(value) for name, value in form.items() if name != file_field}
    if quoted:
        texts = {name: _unquoted(text) for name, text in texts.items() if text != "null"}
    try:
        options = CaptionOptions.model_validate(
            {name: text for name, text in texts.items() if name in OPTION_FIELDS}
        )
    except ValidationError as error:
        raise from_validation(error) from None
    uploads = [value for value in form.getlist(file_field) if isinstance(value, UploadFile)]
    images = [await upload.read() for upload in uploads]
    return BatchForm(images, options, texts.get("model"), texts.get("id"))


def _field_errors(form: FormData, file_field: str, most: int) -> Iterator[FieldError]:
    """Yield what is wrong with the fields as such; their values are checked later."""
    fields = (file_field, *OPTION_FIELDS, *OTHER_FIELDS)
    for name in dict.fromkeys(form):
        values = form.getlist(name)
        shown = name[:100]
        files = [value for value in values if isinstance(value, UploadFile)]
        if name not in fields:
            yield invalid_field(shown, f"unknown field; known: {', '.join(fields)}")
        elif name == file_field and len(files) < len(values):
            yield invalid_field(shown, "must be a file, not text")
        elif name == file_field and len(files) > most > 1:
            yield invalid_field(shown, f"at most {most} pictures, got {len(files)}")
        elif len(values) > (most if name == file_field else 1):
            yield invalid_field(shown, f"given {len(values)} times, give it once")
        elif name != file_field and files:
            yield invalid_field(shown, "must be text, not a file")
    if file_field not in form:
        yield invalid_field(file_field, "required: the picture to caption")
    if len(str(form.get("id", ""))) > MAX_ID_LENGTH:
        yield invalid_field("id", f"at most {MAX_ID_LENGTH} characters", form["id"])

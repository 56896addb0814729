"""Reads the multipart form of `POST /caption`: every field is known, given once and valid."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from models.interface import CaptionOptions
from serving.problems import FieldError, Problem, from_validation, invalid_field, invalid_fields
from serving.schemas import MAX_ID_LENGTH

IMAGE_FIELD = "image"
OPTION_FIELDS = tuple(CaptionOptions.model_fields)
OTHER_FIELDS = ("model", "id")
_MAX_FIELD_BYTES = 16 * 1024


@dataclass(frozen=True)
class CaptionForm:
    """What a client asked for.

    Attributes:
        image: content of the uploaded file.
        options: how to caption.
        model: a model's name; `None` is the default model.
        id: to be echoed.
    """

    image: bytes
    options: CaptionOptions
    model: str | None
    id: str | None


async def read_caption_form(request: Request) -> CaptionForm:
    """Read and check the form.

    Raises:
        Problem: 400 the body is no form; 413 it is too large; 415 it is of another type; 422 a
            field is missing, unknown, repeated or out of range.
    """
    _require_multipart(request)
    known = len(OPTION_FIELDS) + len(OTHER_FIELDS) + 1
    try:
        form = await request.form(max_files=known, max_fields=known, max_part_size=_MAX_FIELD_BYTES)
    except HTTPException as error:
        raise Problem("malformed-request", f"The form cannot be read: {error.detail}") from None
    try:
        return await _check(form, quoted=_is_bentoml_client(request))
    finally:
        await form.close()


def _require_multipart(request: Request) -> None:
    header = request.headers.get("content-type", "")
    if parse_options_header(header)[0] != b"multipart/form-data":
        received = header.split(";")[0][:100] or "nothing"
        raise Problem(
            "unsupported-media-type",
            f"Send multipart/form-data with the picture in the field {IMAGE_FIELD!r}; "
            f"the Content-Type says {received}.",
        )


def _is_bentoml_client(request: Request) -> bool:
    """Whether BentoML's own client asks: it sends every field as JSON, texts in quotes."""
    return request.headers.get("user-agent", "").startswith("BentoML HTTP Client/")


def _unquoted(value: str) -> str:
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else value


async def _check(form: FormData, quoted: bool) -> CaptionForm:
    errors = list(_field_errors(form))
    if errors:
        raise invalid_fields(errors)
    texts = {name: str(value) for name, value in form.items() if name != IMAGE_FIELD}
    if quoted:
        texts = {name: _unquoted(text) for name, text in texts.items() if text != "null"}
    try:
        options = CaptionOptions.model_validate(
            {name: text for name, text in texts.items() if name in OPTION_FIELDS}
        )
    except ValidationError as error:
        raise from_validation(error) from None
    upload = form[IMAGE_FIELD]
    image = await upload.read() if isinstance(upload, UploadFile) else b""
    return CaptionForm(image, options, texts.get("model"), texts.get("id"))


def _field_errors(form: FormData) -> list[FieldError]:
    """Return what is wrong with the fields as such; their values are checked later."""
    errors = []
    fields = (IMAGE_FIELD, *OPTION_FIELDS, *OTHER_FIELDS)
    for name in dict.fromkeys(form):
        values = form.getlist(name)
        shown = name[:100]
        if name not in fields:
            errors.append(invalid_field(shown, f"unknown field; known: {', '.join(fields)}"))
        elif len(values) > 1:
            errors.append(invalid_field(shown, f"given {len(values)} times, give it once"))
        elif name == IMAGE_FIELD and not isinstance(values[0], UploadFile):
            errors.append(invalid_field(shown, "must be a file, not text"))
        elif name != IMAGE_FIELD and isinstance(values[0], UploadFile):
            errors.append(invalid_field(shown, "must be text, not a file"))
    if IMAGE_FIELD not in form:
        errors.append(invalid_field(IMAGE_FIELD, "required: the picture to caption"))
    if len(str(form.get("id", ""))) > MAX_ID_LENGTH:
        errors.append(invalid_field("id", f"at most {MAX_ID_LENGTH} characters", form["id"]))
    return errors

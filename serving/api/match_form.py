"""Reads the multipart form of `POST /match`: every field is known and valid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from serving.api.forms import IMAGE_FIELD, OTHER_FIELDS, read_multipart
from serving.base.problems import FieldError, invalid_field, invalid_fields
from serving.contract.requests import TEXTS_FIELD, MatchForm, text_error
from serving.contract.schemas import MAX_ID_LENGTH, MAX_TEXT_LENGTH, MAX_TEXTS

_MAX_PARTS = 1000
"""Parts that are counted to say what is wrong with them; with more, the form is not read on."""
_MAX_FIELD_BYTES = 2**31
"""As much as the body's own limit lets through: a text that is too long is to be named so."""


async def read_match_form(request: Request) -> MatchForm:
    """Read and check the form.

    Raises:
        Problem: 400 the body is no form; 413 it is too large; 415 it is of another type; 422 a
            field is missing, unknown, repeated or out of range.
    """
    form = await read_multipart(request, IMAGE_FIELD, _MAX_PARTS, _MAX_FIELD_BYTES)
    try:
        return await _check(form)
    finally:
        await form.close()


async def _check(form: FormData) -> MatchForm:
    errors = list(_field_errors(form))
    if errors:
        raise invalid_fields(errors)
    upload = form[IMAGE_FIELD]
    image = await upload.read() if isinstance(upload, UploadFile) else b""
    texts = [str(text) for text in form.getlist(TEXTS_FIELD)]
    others = {name: str(form[name]) for name in OTHER_FIELDS if name in form}
    return MatchForm(image, texts, others.get("model"), others.get("id"))


def _field_errors(form: FormData) -> Iterator[FieldError]:
    fields = (IMAGE_FIELD, TEXTS_FIELD, *OTHER_FIELDS)
    for name in dict.fromkeys(form):
        values = form.getlist(name)
        shown = name[:100]
        if name not in fields:
            yield invalid_field(shown, f"unknown field; known: {', '.join(fields)}")
        elif name != TEXTS_FIELD and len(values) > 1:
            yield invalid_field(shown, f"given {len(values)} times, give it once")
        elif name == IMAGE_FIELD and not isinstance(values[0], UploadFile):
            yield invalid_field(shown, "must be a file, not text")
        elif name != IMAGE_FIELD and any(isinstance(value, UploadFile) for value in values):
            yield invalid_field(shown, "must be text, not a file")
    if IMAGE_FIELD not in form:
        yield invalid_field(IMAGE_FIELD, "required: the picture that the texts are ranked for")
    if TEXTS_FIELD not in form:
        yield invalid_field(TEXTS_FIELD, f"required: 1 to {MAX_TEXTS} texts, a field for each")
    yield from _text_errors([str(text) for text in form.getlist(TEXTS_FIELD)])
    if len(str(form.get("id", ""))) > MAX_ID_LENGTH:
        yield invalid_field("id", f"at most {MAX_ID_LENGTH} characters", form["id"])


def _text_errors(texts: Sequence[str]) -> Iterator[FieldError]:
    if len(texts) > MAX_TEXTS:
        yield invalid_field(TEXTS_FIELD, f"at most {MAX_TEXTS} texts, got {len(texts)}")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            yield text_error(number, "is empty", text)
        elif len(text) > MAX_TEXT_LENGTH:
            limit = f"has {len(text):,} characters, at most {MAX_TEXT_LENGTH:,} are read"
            yield text_error(number, limit, text)

"""Reads a JSON request body into a pydantic model, as strictly as its schema says."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from serving.base.problems import Problem, from_validation

T = TypeVar("T", bound=BaseModel)

MEDIA_TYPE = "application/json"


async def read_json(request: Request, model: type[T]) -> T:
    """Return the body as a `model`. No type is bent: `"3"` is no number.

    Raises:
        Problem: 400 the body is no JSON; 413 it is too large; 415 it is of another type; 422 a
            field is missing, unknown or out of range.
    """
    header = request.headers.get("content-type", "")
    if parse_options_header(header)[0] != MEDIA_TYPE.encode():
        received = header.split(";")[0][:100] or "nothing"
        raise Problem("unsupported-media-type", f"Send {MEDIA_TYPE}; Content-Type says {received}.")
    try:
        return model.model_validate_json(await request.body(), strict=True)
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] == "json_invalid":
            reason = error.errors(include_input=False)[0]["msg"].removeprefix("Invalid JSON: ")
            raise Problem("malformed-request", f"The body is not JSON: {reason}.") from None
        raise from_validation(error) from None

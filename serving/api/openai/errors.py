"""Problems as OpenAI's clients read them: the `error` member that every problem on `/v1/` has."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

_PREFIX = "/v1/"
_MODEL = "/v1/models/"

_CODES = {
    "unauthorized": "invalid_api_key",
    "unknown-model": "model_not_found",
    "too-many-requests": "rate_limit_exceeded",
    "unsupported-option": "unsupported_parameter",
    "unsupported-image": "invalid_image_format",
    "broken-image": "invalid_image",
    "too-many-pixels": "image_too_large",
}
"""OpenAI's codes, where it has one for the kind of problem; ours are the kinds themselves."""

_RATE_LIMIT = 429


class OpenAIError(BaseModel):
    """An error in OpenAI's form."""

    message: Annotated[str, Field(description="What happened this time.")]
    type: Annotated[
        str,
        Field(
            description="`invalid_request_error`, `rate_limit_error` or `server_error`.",
            examples=["invalid_request_error"],
        ),
    ]
    param: Annotated[
        str | None, Field(description="The parameter at fault.", examples=["temperature"])
    ]
    code: Annotated[str, Field(description="The kind of error.", examples=["model_not_found"])]


def openai_error(
    path: str, slug: str, status: int, detail: str, field: str | None
) -> OpenAIError | None:
    """Return a problem in OpenAI's form; None where the path is not one of OpenAI's.

    Args:
        path: of the request.
        slug: kind of the problem.
        status: HTTP status of the answer.
        detail: what happened.
        field: the first field at fault, if fields are.
    """
    if not path.startswith(_PREFIX):
        return None
    if slug == "not-found" and path.startswith(_MODEL):
        slug = "unknown-model"
    kind = "invalid_request_error"
    if status >= 500:
        kind = "server_error"
    elif status == _RATE_LIMIT:
        kind = "rate_limit_error"
    return OpenAIError(
        message=detail,
        type=kind,
        param="model" if slug == "unknown-model" else field,
        code=_CODES.get(slug, slug.replace("-", "_")),
    )

"""Bodies of error answers, field by field: ours, and what compatible faces add."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from serving.base.problems import FieldError


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


class ProblemDetails(BaseModel):
    """Body of every error answer (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "/problems/broken-image",
                "title": "Broken image",
                "status": 422,
                "detail": "The picture is truncated: its data ends early.",
                "instance": "/caption",
                "request_id": "5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e",
            }
        }
    )

    type: Annotated[str, Field(description="Kind of problem; a relative URI reference.")]
    title: Annotated[str, Field(description="The kind in words.")]
    status: Annotated[int, Field(description="HTTP status code.")]
    detail: Annotated[str, Field(description="What happened this time.")]
    instance: Annotated[str, Field(description="Path of the request that failed.")]
    request_id: Annotated[
        str, Field(description="Also in the `X-Request-ID` header and in the server's log.")
    ]
    errors: Annotated[
        list[FieldError] | None, Field(description="The fields at fault, if fields are.")
    ] = None
    error: Annotated[
        OpenAIError | None, Field(description="The same for OpenAI's clients, below `/v1/`.")
    ] = None

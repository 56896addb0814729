"""The operations that caption pictures: uploaded, fetched from a URL, and several at once.

Each is a function of the gateway and of what was asked: FastAPI's routes and BentoML's APIs both
call it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from serving.api.bodies import FormBody, JsonBody, Terms
from serving.api.operations import (
    PICTURE_PROBLEMS,
    PIXEL_URL,
    REQUEST_PROBLEMS,
    URL_PROBLEMS,
    answer_json,
    picture_terms,
    post,
    problems,
)
from serving.base import request_id
from serving.base.problems import Problem
from serving.base.settings import Settings
from serving.contract.requests import CaptionBatchInput, CaptionInput, CaptionUrlInput
from serving.contract.schemas import (
    CAPTION_EXAMPLE,
    RERANK_EXAMPLE,
    BatchFailure,
    BatchResponse,
    CaptionResponse,
)
from serving.gateway.gateway import Gateway, gateway_of
from serving.http.problem_answers import account
from serving.pictures.fetch import MAX_REDIRECTS, MAX_URL_LENGTH

_OPTIONS = (
    "Every option may be left out: the model's own default then holds. A field that is unknown, or "
    "an option that the model cannot honour, is refused with 422."
)
_QUERY = "Options may stand in the URL's query as well as in the form: `?model=NAME`."


async def caption(gateway: Gateway, asked: CaptionInput, identity: str) -> CaptionResponse:
    """Caption one picture.

    Args:
        gateway: that does it.
        asked: the request.
        identity: of the request.

    Raises:
        Problem: the request cannot be honoured.
    """
    return await gateway.caption(asked.form(), identity)


async def caption_url(gateway: Gateway, asked: CaptionUrlInput, identity: str) -> CaptionResponse:
    """Caption the picture at a URL; as `caption`."""
    # What cannot be honoured costs no fetch.
    model = gateway.models.choose(asked.model, asked.options())
    started = time.monotonic()
    image = await gateway.fetch(asked.url, model)
    fetched = time.monotonic()
    answer = await gateway.caption(asked.form(image), identity)
    answer.timing_ms.fetch = round((fetched - started) * 1000, 3)
    return answer


async def caption_batch(
    gateway: Gateway, asked: CaptionBatchInput, scope: Mapping[str, Any]
) -> BatchResponse:
    """Caption several pictures.

    Args:
        gateway: that does it.
        asked: the request.
        scope: ASGI scope of the request, for the accounts of pictures that fail; may be empty.

    Raises:
        Problem: the request as such cannot be honoured.
    """
    answers = await gateway.caption_batch(asked.form(), request_id.of(scope))
    results = [
        BatchFailure(error=account(answer, scope)) if isinstance(answer, Problem) else answer
        for answer in answers
    ]
    return BatchResponse(results=results)


# --- routes --------------------------------------------------------------------------------------


def _terms(*fields: str) -> Terms:
    """Return what a server's settings add to the schemas of these fields."""

    def terms(settings: Settings) -> dict[str, dict[str, Any]]:
        picture = picture_terms(settings)
        url = {
            # The page reads this to know whether to offer a field for addresses.
            "pattern": "^(https?|data):" if settings.allow_urls else "^data:",
            "description": f"Address of the picture, at most {MAX_URL_LENGTH:,} characters, or a "
            "`data:` URL that holds it.",
            "examples": [_url_example(settings)],
        }
        model = {"enum": list(settings.model_names)}
        every = {"image": picture, "images": {"items": picture}, "url": url, "model": model}
        return {field: every[field] for field in fields}

    return terms


CAPTION = FormBody(CaptionInput, _terms("image", "model"))
CAPTION_URL = JsonBody(CaptionUrlInput, _terms("url", "model"))
CAPTION_BATCH = FormBody(CaptionBatchInput, _terms("images", "model"))


async def _caption(request: Request, asked: Annotated[CaptionInput, Depends(CAPTION)]) -> Response:
    identity = request_id.of(request.scope)
    return answer_json(await caption(gateway_of(request), asked, identity))


async def _caption_url(
    request: Request, asked: Annotated[CaptionUrlInput, Depends(CAPTION_URL)]
) -> Response:
    identity = request_id.of(request.scope)
    return answer_json(await caption_url(gateway_of(request), asked, identity))


async def _caption_batch(
    request: Request, asked: Annotated[CaptionBatchInput, Depends(CAPTION_BATCH)]
) -> Response:
    return answer_json(await caption_batch(gateway_of(request), asked, request.scope))


def caption_routes(settings: Settings) -> Iterator[APIRoute]:
    """Yield the routes."""
    examples = {
        "captions": {"summary": "Captions", "value": CAPTION_EXAMPLE},
        "rerank": {"summary": "Captions in the matcher's order", "value": RERANK_EXAMPLE},
    }
    content = {"application/json": {"examples": examples}} if settings.matcher else None
    yield post(
        "/caption",
        _caption,
        CaptionResponse,
        problems(*REQUEST_PROBLEMS, *PICTURE_PROBLEMS),
        name="caption",
        summary="Caption a picture",
        description=f"{_OPTIONS} {_QUERY}",
        content=content,
    )
    yield post(
        "/caption_url",
        _caption_url,
        CaptionResponse,
        problems(*REQUEST_PROBLEMS, *PICTURE_PROBLEMS, *URL_PROBLEMS),
        name="captionUrl",
        summary="Caption the picture at a URL",
        description=f"{_fetching(settings)} {_OPTIONS}",
        content=content,
        # Without one, Swagger UI makes up a body that has every field.
        body={"application/json": {"example": {"url": _url_example(settings), "num_captions": 2}}},
    )
    yield post(
        "/caption_batch",
        _caption_batch,
        BatchResponse,
        problems(*REQUEST_PROBLEMS),
        name="captionBatch",
        summary="Caption several pictures",
        description="The results stand in the pictures' order. A picture that cannot be read "
        "has an `error` in its place and fails no other; the status is 200 all the same. "
        f"The request counts as as many as it has pictures. {_OPTIONS} {_QUERY}",
    )


def _fetching(settings: Settings) -> str:
    if not settings.allow_urls:
        return "This server fetches nothing: it takes `data:` URLs only."
    return (
        f"This server fetches pictures from http and https URLs, ports "
        f"{', '.join(map(str, settings.url_ports))}, addresses of the public internet only, at "
        f"most {settings.max_upload_mb:g} MiB, within {settings.url_timeout_s:g} s and "
        f"{MAX_REDIRECTS} redirects."
    )


def _url_example(settings: Settings) -> str:
    return "https://example.org/dog.jpg" if settings.allow_urls else PIXEL_URL

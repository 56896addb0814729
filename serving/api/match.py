"""The operation that ranks texts for a picture."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from serving.api.bodies import FormBody
from serving.api.operations import PICTURE_PROBLEMS, REQUEST_PROBLEMS, picture_terms, post, problems
from serving.base import request_id
from serving.base.settings import Settings
from serving.contract.requests import IMAGE_FIELD, TEXTS_FIELD, MatchInput
from serving.contract.schemas import MatchResponse
from serving.gateway.gateway import Gateway, gateway_of

_PROBLEMS = [slug for slug in REQUEST_PROBLEMS if slug != "unsupported-option"]


async def match(gateway: Gateway, asked: MatchInput, identity: str) -> MatchResponse:
    """Rank texts for one picture.

    Args:
        gateway: that does it.
        asked: the request.
        identity: of the request.

    Raises:
        Problem: the request cannot be honoured.
    """
    return await gateway.match(asked.form(), identity)


# --- route ---------------------------------------------------------------------------------------


def _terms(settings: Settings) -> dict[str, dict[str, Any]]:
    return {IMAGE_FIELD: picture_terms(settings), "model": {"enum": [settings.matcher_name]}}


MATCH = FormBody(
    MatchInput,
    _terms,
    max_parts=1000,
    # As much as the body's own limit lets through: a text that is too long is to be named so.
    max_field_bytes=2**31,
    with_query=False,
)


async def _require_matcher(request: Request) -> None:
    """Refuse before a form that cannot be used is read."""
    gateway_of(request).models.require_matcher()


async def _match(
    request: Request,
    _: Annotated[None, Depends(_require_matcher)],
    asked: Annotated[MatchInput, Depends(MATCH)],
) -> Response:
    answer = await match(gateway_of(request), asked, request_id.of(request.scope))
    return Response(answer.model_dump_json(), media_type="application/json")


def match_route(settings: Settings) -> APIRoute:
    """Return the route. Where no matcher is served it says so, and is not in the document."""
    return post(
        "/match",
        _match,
        MatchResponse,
        problems(*_PROBLEMS, *PICTURE_PROBLEMS),
        name="match",
        summary="Rank texts by how well they fit a picture",
        description="Scores every text by itself: the probability, 0 to 1, that it belongs to "
        "the picture. `rerank` of `POST /caption` orders captions the same way.",
        # The default, but Swagger UI joins the texts with commas unless it is told.
        body={
            "multipart/form-data": {"encoding": {TEXTS_FIELD: {"style": "form", "explode": True}}}
        },
        documented=bool(settings.matcher),
    )

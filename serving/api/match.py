"""The route that ranks texts for a picture."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api.match_form import read_match_form
from serving.base import request_id
from serving.gateway.gateway import gateway_of


def match_route() -> Route:
    """Return the route. Where no matcher is served it says so."""
    return Route("/match", _match, methods=["POST"])


async def _match(request: Request) -> Response:
    gateway = gateway_of(request)
    gateway.models.require_matcher()  # before a form that cannot be used is read
    form = await read_match_form(request)
    answer = await gateway.match(form, request_id.of(request.scope))
    return Response(answer.model_dump_json(), media_type="application/json")

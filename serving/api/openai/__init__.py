"""OpenAI's interface, as far as a captioner can honour it."""

from collections.abc import Iterator

from fastapi.routing import APIRoute

from serving.api.face import Face
from serving.api.openai.chat import chat_route
from serving.api.openai.errors import PREFIX, openai_errors
from serving.api.openai.responses.routes import responses_route
from serving.base.settings import Settings


def _routes(settings: Settings) -> Iterator[APIRoute]:
    yield chat_route(settings)
    yield responses_route(settings)


FACE = Face("openai", PREFIX, openai_errors, _routes)

"""From a question to what is answered, for both of OpenAI's interfaces."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from models.api.options import LONGEST_CAPTION, CaptionOptions
from models.api.results import Caption
from models.store import StoredModel
from serving.api.bodies import JsonBody
from serving.api.openai.conversation import Question
from serving.api.openai.schemas import StreamOptions, asks_for_nothing
from serving.api.structured import Said
from serving.api.talking import SHORTEST, Form, declined, prompt_for, worded
from serving.base import request_id
from serving.base.problems import FieldError, Problem, fault, invalid_field, invalid_fields
from serving.contract.requests import CaptionForm
from serving.gateway.gateway import gateway_of

M = TypeVar("M", bound=BaseModel)

_BAD_REQUEST = 400
_THE_REQUESTS_FAULT = (415, 422)
"""Statuses that OpenAI does not tell apart from 400; its clients know no other."""


@dataclass(frozen=True)
class Line:
    """One of the texts that are answered.

    Attributes:
        text: a sentence, or JSON.
        cut: whether it ends at the longest length allowed.
    """

    text: str
    cut: bool


@dataclass(frozen=True)
class Answered:
    """What is answered.

    Attributes:
        model: that was asked.
        lines: best first, at least one.
        tokens: how many the model wrote.
    """

    model: StoredModel
    lines: tuple[Line, ...]
    tokens: int


async def answered(
    request: Request,
    asked: Question,
    model_name: str | None,
    options: CaptionOptions,
    form: Form,
    stops: Collection[str] = (),
) -> Answered:
    """Answer a question; where there is no picture, with a sentence that says so.

    Args:
        request: that asks.
        asked: the question.
        model_name: the default model's where it is empty or none.
        options: how to caption, but for the prompt.
        form: what the answer is to be.
        stops: texts before the first of which a caption ends.

    Raises:
        Problem: it cannot be honoured.
    """
    gateway = gateway_of(request)
    model = gateway.models.get(model_name or None)
    if asked.url is None:
        return Answered(model, (Line(worded(declined(), form), cut=False),), 0)
    prompt = prompt_for(model, asked.text, form, gateway.models.honoured(model))
    if prompt is not None:
        options = options.model_copy(update={"prompt": prompt})
    gateway.models.choose(model.name, options)  # what cannot be honoured costs no fetch
    image = await gateway.fetch(asked.url, model)
    caption = CaptionForm(image, options, model.name, None)
    answer = await gateway.caption(caption, request_id.of(request.scope))
    lines = tuple(_line(caption, form, stops) for caption in answer.captions)
    return Answered(model, lines, sum(caption.tokens or 0 for caption in answer.captions))


def _line(caption: Caption, form: Form, stops: Collection[str]) -> Line:
    ends = [end for stop in stops if (end := caption.text.find(stop)) >= 0]
    text = caption.text[: min(ends)] if ends else caption.text
    said = Said.by(text, caption.confidence)
    return Line(worded(said, form), cut=bool(caption.truncated and not ends))


# --- what is asked for ----------------------------------------------------------------------------


def wanted_form(value: Any, field: str, *steps: str) -> Form:
    """Return what the answer is to be.

    Args:
        value: as OpenAI has it: an object with a type.
        field: that it stands in.
        steps: names of the members that lead to its JSON schema.

    Raises:
        Problem: it is nothing of the kind.
    """
    if asks_for_nothing(value):
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return "json"
    if kind != "json_schema":
        raise fault(field, "must be of type `text`, `json_object` or `json_schema`", value)
    schema = value
    for step in steps:
        schema = schema.get(step) if isinstance(schema, dict) else None
    if not isinstance(schema, dict):
        raise fault(".".join((field, *steps)), "must be a JSON schema", schema)
    return schema


def longest(tokens: int | None) -> int | None:
    """Return how long captions may be; it is a limit, so none that is given is a mistake.

    Args:
        tokens: as asked; 0 and less are none, as other servers have it.
    """
    if tokens is None or tokens <= 0:
        return None
    return min(max(tokens, SHORTEST), LONGEST_CAPTION)


def check_extras(
    extras: Mapping[str, Any] | None,
    ignored: Collection[str],
    refused: Mapping[str, tuple[Any, ...]],
    asked_by_being_there: Collection[str] = (),
) -> None:
    """Refuse parameters that would change the answer and cannot be honoured.

    Args:
        extras: the parameters that no field has.
        ignored: those without effect.
        refused: those that cannot be honoured, each with the values that ask for nothing.
        asked_by_being_there: those that only null does not ask for.

    Raises:
        Problem: names the first of them.
    """
    for name, value in (extras or {}).items():
        nothing = value is None if name in asked_by_being_there else asks_for_nothing(value)
        if name in ignored or nothing or _is_any(value, refused.get(name, ())):
            continue
        if name not in refused:
            raise fault(name[:100], "is not a parameter of this interface")
        raise Problem(
            "unsupported-option",
            f"{name}: a captioner cannot honour this; leave it out.",
            errors=[invalid_field(name, "cannot be honoured; leave it out")],
        )


def _is_any(value: Any, ones: tuple[Any, ...]) -> bool:
    # As JSON compares: to Python, false is 0.
    kind = isinstance(value, bool)
    return any(value == one and kind == isinstance(one, bool) for one in ones)


def check_stream_options(options: StreamOptions | None, stream: bool | None) -> None:
    """Refuse options of a stream that was not asked for.

    Raises:
        Problem: names them.
    """
    if options is not None and not asks_for_nothing(options.model_dump()) and not stream:
        raise fault("stream_options", "applies to `stream` only")


# --- the two ends ---------------------------------------------------------------------------------


class OpenAiBody(JsonBody[M]):
    """A body whose faults are answered in OpenAI's statuses."""

    async def __call__(self, request: Request) -> M:
        """Read it; see `JsonBody`."""
        with in_openais_statuses():
            return await super().__call__(request)


def event_stream(events: str) -> Response:
    """Return the answer that has a stream's events."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Response(events, headers=headers, media_type="text/event-stream")


# --- errors ---------------------------------------------------------------------------------------


@contextmanager
def in_openais_statuses() -> Iterator[None]:
    """Have problems that are the request's fault be answered with 400."""
    try:
        yield
    except Problem as problem:
        if problem.status in _THE_REQUESTS_FAULT:
            problem.status = _BAD_REQUEST
        raise


def renamed(problem: Problem, names: Mapping[str, str]) -> Problem:
    """Return `problem` with our options called as the request's parameters.

    Args:
        problem: what was found.
        names: the parameters, by our options.
    """
    errors = [
        FieldError(
            field=names.get(error.field, error.field), detail=error.detail, received=error.received
        )
        for error in problem.errors or ()
    ]
    if not errors:
        return problem
    if problem.type_slug == "invalid-request":
        return invalid_fields(errors)
    return Problem(problem.type_slug, problem.detail, problem.headers, errors)

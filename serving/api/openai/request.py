"""From the parameters of OpenAI's chat completions to how a picture is captioned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from models.api.options import SEEDS, CaptionOptions
from serving.api.openai.answering import (
    check_extras,
    check_stream_options,
    longest,
    renamed,
    wanted_form,
)
from serving.api.openai.schemas import (
    ASKED_BY_BEING_THERE,
    EXTENSIONS,
    IGNORED,
    MOST_STOPS,
    REFUSED,
    ChatRequest,
    asks_for_nothing,
)
from serving.api.talking import Form
from serving.base.problems import fault, from_validation


def check_parameters(request: ChatRequest) -> None:
    """Refuse parameters that would change the answer and cannot be honoured.

    Raises:
        Problem: names the first of them.
    """
    check_extras(request.model_extra, (*IGNORED, *EXTENSIONS), REFUSED, ASKED_BY_BEING_THERE)
    check_stream_options(request.stream_options, request.stream)


def caption_options(request: ChatRequest) -> CaptionOptions:
    """Return how to caption.

    Many clients send a temperature without being asked to, for language models that write better
    with one. A captioner does not, so a temperature alone is the model's own search; who wants
    captions that differ asks for several, or sends a seed.

    Raises:
        Problem: a value is out of range; names the request's parameter.
    """
    try:
        options = CaptionOptions(
            num_captions=1 if request.n is None else request.n,
            max_length=longest(_most_tokens(request)),
            **_sampling(request),
        )
    except ValidationError as error:
        raise renamed(from_validation(error), names(request)) from None
    if options.num_captions == 1 and request.seed is None:
        return options.model_copy(update={"temperature": None, "top_p": None})
    return options


def wanted_stops(request: ChatRequest) -> list[str]:
    """Return the texts before which captions end.

    Raises:
        Problem: they are none.
    """
    if asks_for_nothing(request.stop):
        return []
    stops: Any = [request.stop] if isinstance(request.stop, str) else request.stop
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise fault("stop", "must be a text or a list of texts, none of them empty", request.stop)
    if len(stops) > MOST_STOPS:
        raise fault("stop", f"at most {MOST_STOPS} texts, got {len(stops)}")
    return stops


def wanted_response_form(request: ChatRequest) -> Form:
    """Return what the answer is to be.

    Raises:
        Problem: it is nothing of the kind.
    """
    return wanted_form(request.response_format, "response_format", "json_schema", "schema")


def names(request: ChatRequest) -> Mapping[str, str]:
    """Return the request's parameters, by the options that they set."""
    tokens = "max_tokens" if request.max_tokens is not None else "max_completion_tokens"
    return {"num_captions": "n", "max_length": tokens, "prompt": "messages"}


def _sampling(request: ChatRequest) -> dict[str, Any]:
    """Return temperature, nucleus and seed, empty for no sampling."""
    temperature, top_p = request.temperature, request.top_p
    if temperature is None:
        if top_p in (None, 1):
            return {}
        # OpenAI's default temperature is 1; a nucleus below 1 asks for sampling at that.
        temperature = 1.0
    if temperature == 0:
        return {}
    seed = None if request.seed is None else request.seed % SEEDS
    return {"temperature": temperature, "top_p": top_p, "seed": seed}


def _most_tokens(request: ChatRequest) -> int | None:
    old, new = request.max_tokens, request.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise fault("max_tokens", "differs from `max_completion_tokens`; give one of them", old)
    return old if new is None else new

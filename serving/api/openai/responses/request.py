"""From OpenAI's responses requests to what is asked: which picture, and what of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.api.options import CaptionOptions
from serving.api.openai.answering import (
    check_extras,
    check_stream_options,
    longest,
    wanted_form,
)
from serving.api.openai.conversation import Question, Turns, content_parts, validated
from serving.api.openai.responses.schemas import (
    IGNORED,
    REFUSED,
    InputImage,
    InputText,
    ResponsesRequest,
)
from serving.api.openai.schemas import EXTENSIONS
from serving.api.talking import Form
from serving.base.problems import fault

NAMES: Mapping[str, str] = {"max_length": "max_output_tokens", "prompt": "input"}
"""The request's parameters, by the options that they set."""

_ROLES = ("user", "system", "developer", "assistant")
_MOST_ITEMS = 1_000


def check_parameters(request: ResponsesRequest) -> None:
    """Refuse parameters that would change the answer and cannot be honoured.

    Raises:
        Problem: names the first of them.
    """
    check_extras(request.model_extra, (*IGNORED, *EXTENSIONS), REFUSED)
    check_stream_options(request.stream_options, request.stream)


def caption_options(request: ResponsesRequest) -> CaptionOptions:
    """Return how to caption."""
    return CaptionOptions(num_captions=1, max_length=longest(request.max_output_tokens))


def wanted_text_form(request: ResponsesRequest) -> Form:
    """Return what the answer is to be.

    Raises:
        Problem: it is nothing of the kind.
    """
    given = None if request.text is None else request.text.format
    return wanted_form(given, "text.format", "schema")


def question(given: Any) -> Question:
    """Return what the input asks.

    Raises:
        Problem: an item is malformed, or the user says nothing and shows nothing.
    """
    turns = Turns()
    if not isinstance(given, str | list) or not given:
        raise fault("input", "must be a text or a list of messages, and not empty", given)
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    if len(items) > _MOST_ITEMS:
        raise fault("input", f"at most {_MOST_ITEMS:,} items, got {len(items):,}")
    for number, item in enumerate(items):
        place = f"input[{number}]"
        role = _role(item, place)
        if role == "user":
            parts = [_part(*one) for one in content_parts(item.get("content"), place, "input_text")]
            turns.user(
                [part.text for part in parts if isinstance(part, InputText)],
                [part.image_url for part in parts if isinstance(part, InputImage)],
            )
        elif role in ("", "assistant"):
            turns.answer()
    asked = turns.question()
    if asked.url is None and not turns.said:
        raise fault("input", "no picture: send one as an `input_image` part of a user's message")
    return asked


def _role(item: Any, place: str) -> str:
    """Return whose message an item is; empty for what is no message, such as a tool's call."""
    if not isinstance(item, dict):
        raise fault(place, "must be an object", item)
    kind = item.get("type")
    if kind not in (None, "", "message"):
        if not isinstance(kind, str):
            raise fault(f"{place}.type", "must be a text", kind)
        return ""
    role = item.get("role")
    if role not in _ROLES:
        raise fault(f"{place}.role", f"must be one of: {', '.join(_ROLES)}", role)
    return str(role)


def _part(part: Mapping[str, Any], place: str) -> InputText | InputImage:
    match part.get("type"):
        case "input_text":
            return validated(InputText, part, place)
        case "input_image":
            return validated(InputImage, part, place)
        case kind:
            raise fault(f"{place}.type", "must be `input_text` or `input_image`", kind)

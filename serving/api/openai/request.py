"""From OpenAI's chat request to what the gateway is asked: which picture, and how to caption it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from models.api.options import LONGEST_CAPTION, SEEDS, CaptionOptions
from serving.api.openai.schemas import (
    ASKED_BY_BEING_THERE,
    IGNORED,
    REFUSED,
    ChatRequest,
    ImagePart,
    Message,
    TextPart,
    asks_for_nothing,
)
from serving.base.problems import (
    FieldError,
    Problem,
    fault,
    from_validation,
    invalid_field,
    invalid_fields,
)

_ROLES = ("user", "system", "developer")

M = TypeVar("M", bound=BaseModel)


def check_parameters(request: ChatRequest) -> None:
    """Refuse parameters that would change the answer and cannot be honoured.

    Raises:
        Problem: names the first of them.
    """
    for name, value in (request.model_extra or {}).items():
        if name in IGNORED or _is_nothing(name, value):
            continue
        if name not in REFUSED:
            raise fault(name[:100], "is not a parameter of chat completions")
        raise Problem(
            "unsupported-option",
            f"{name}: a captioner cannot honour this; leave it out.",
            errors=[invalid_field(name, "cannot be honoured; leave it out")],
        )
    options = request.stream_options
    if options is not None and not asks_for_nothing(options.model_dump()) and not request.stream:
        raise fault("stream_options", "applies to `stream` only")


def _is_nothing(name: str, value: Any) -> bool:
    if name in ASKED_BY_BEING_THERE:
        return value is None
    return asks_for_nothing(value) or _is_any(value, REFUSED.get(name, ()))


def _is_any(value: Any, ones: tuple[Any, ...]) -> bool:
    # As JSON compares: to Python, false is 0.
    kind = isinstance(value, bool)
    return any(value == one and kind == isinstance(one, bool) for one in ones)


def picture_and_text(messages: list[Any]) -> tuple[str, str]:
    """Return the picture's URL, and the texts of the user's messages in a line each.

    Raises:
        Problem: a message is malformed, or there is not exactly one picture.
    """
    pictures: list[tuple[str, str]] = []
    texts: list[str] = []
    silent: list[str] = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        role = _role(message, place)
        if role == "user" and message.get("content") is None:
            silent.append(f"{place}.content")
        for where, part in _parts(message, place):
            if isinstance(part, ImagePart):
                pictures.append((f"{where}.image_url", part.image_url.url))
            elif role == "user" and part.text.strip():
                texts.append(part.text.strip())
    if not pictures and silent:
        raise fault(silent[0], "must be a text or a list of parts")
    if not pictures:
        raise fault("messages", "no picture: send one as an `image_url` part of a user message")
    if len(pictures) > 1:
        raise fault(pictures[1][0], f"one picture a request, got {len(pictures)}")
    return pictures[0][1], "\n".join(texts)


def _role(message: Any, place: str) -> str:
    if not isinstance(message, dict):
        raise fault(place, "must be an object", message)
    role = message.get("role")
    if role in ("assistant", "tool", "function"):
        raise fault(f"{place}.role", "a captioner holds no conversation: ask one question", role)
    if role not in _ROLES:
        raise fault(f"{place}.role", f"must be one of: {', '.join(_ROLES)}", role)
    return str(role)


def _parts(message: dict[str, Any], place: str) -> Iterator[tuple[str, TextPart | ImagePart]]:
    """Yield a message's parts, each with its place; a message that is a mere text has one."""
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise fault(f"{place}.content", "must be a text or a list of parts", content)
    _validated(Message, {**message, "content": None}, place)
    if content is None:
        return
    if isinstance(content, str):
        yield f"{place}.content", TextPart(type="text", text=content)
        return
    for number, part in enumerate(content):
        where = f"{place}.content[{number}]"
        if not isinstance(part, dict):
            raise fault(where, "must be an object", part)
        kind = part.get("type")
        if kind == "text":
            yield where, _validated(TextPart, part, where)
        elif kind == "image_url" and message["role"] == "user":
            yield where, _validated(ImagePart, part, where)
        elif kind == "image_url":
            raise fault(where, "only a user's message may have a picture")
        else:
            raise fault(f"{where}.type", "must be `text` or `image_url`", kind)


def caption_options(request: ChatRequest, text: str, takes_prompt: bool) -> CaptionOptions:
    """Return how to caption.

    Args:
        request: what was asked.
        text: what the user wrote beside the picture.
        takes_prompt: whether the model can make use of it.

    Raises:
        Problem: a value is out of range; names the request's parameter.
    """
    sampling = _sampling(request)
    if sampling and request.seed is not None:
        sampling["seed"] = request.seed % SEEDS
    try:
        return CaptionOptions(
            num_captions=1 if request.n is None else request.n,
            max_length=_max_length(request),
            prompt=text if takes_prompt and text else None,
            **sampling,
        )
    except ValidationError as error:
        raise in_openai_terms(from_validation(error), request) from None


def _sampling(request: ChatRequest) -> dict[str, Any]:
    """Return temperature and nucleus, empty for no sampling."""
    temperature, top_p = request.temperature, request.top_p
    if temperature is None:
        # OpenAI's default temperature is 1; a nucleus below 1 asks for sampling at that.
        return {} if top_p in (None, 1) else {"temperature": 1.0, "top_p": top_p}
    if temperature == 0:
        return {}
    return {"temperature": temperature, "top_p": top_p}


def _max_length(request: ChatRequest) -> int | None:
    old, new = request.max_tokens, request.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise fault("max_tokens", "differs from `max_completion_tokens`; give one of them", old)
    asked = old if new is None else new
    # It is a limit: a caption that is shorter still keeps within it.
    return None if asked is None else min(asked, LONGEST_CAPTION)


def in_openai_terms(problem: Problem, request: ChatRequest) -> Problem:
    """Return `problem` with our options called as the request's parameters."""
    longest = "max_tokens" if request.max_tokens is not None else "max_completion_tokens"
    names: Mapping[str, str] = {
        "num_captions": "n",
        "max_length": longest,
        "prompt": "messages",
    }
    renamed = [
        FieldError(
            field=names.get(error.field, error.field), detail=error.detail, received=error.received
        )
        for error in problem.errors or ()
    ]
    if not renamed:
        return problem
    if problem.type_slug == "invalid-request":
        return invalid_fields(renamed)
    return Problem(problem.type_slug, problem.detail, problem.headers, renamed)


def _validated(model: type[M], value: Any, place: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = [
            FieldError(field=f"{place}.{one.field}", detail=one.detail, received=one.received)
            for one in from_validation(error).errors or ()
        ]
        raise invalid_fields(errors) from None

"""From Ollama's requests to what the gateway is asked: which model, which picture, and how.

What Ollama's clients send and a captioner has no use for is taken without effect: every member
that is not named here, and most of `options`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from models.api.options import SEEDS, CaptionOptions
from models.store import StoredModel
from serving.api.talking import SHORTEST, Form, prompt_for
from serving.base.problems import Problem, fault
from serving.contract.served_models import ServedModels

_LATEST = "latest"
_LOWEST_TEMPERATURE, _HIGHEST_TEMPERATURE = 0.01, 5.0


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Generation(_Asked):
    """What both ways of asking have."""

    model: str | None = None
    stream: bool | None = None
    format: Any = None
    options: dict[str, Any] | None = None


class GenerateRequest(_Generation):
    """What `POST /api/generate` takes."""

    prompt: str | None = None
    images: list[str] | None = None


class ChatMessage(_Asked):
    """A message of a conversation."""

    role: str | None = None
    content: str | None = None
    images: list[str] | None = None


class ChatRequest(_Generation):
    """What `POST /api/chat` takes."""

    messages: list[ChatMessage] | None = None


class ShowRequest(_Asked):
    """What `POST /api/show` takes; the model's name by its new or its old name."""

    model: str | None = None
    name: str | None = None


class Question(NamedTuple):
    """What is asked of a model.

    Attributes:
        text: what the user writes; may be empty.
        image: base64, bare or in a `data:` URL, or an address; `None` where there is no picture.
    """

    text: str
    image: str | None


def asked_model(models: ServedModels, name: str | None) -> StoredModel:
    """Return the captioner of a name, with or without `:latest` or its version.

    Args:
        models: what is served.
        name: the default model's where it is empty or none.

    Raises:
        Problem: 404, no such captioner is served.
    """
    if not name:
        return models.get(None)
    for model in models.captioners():
        if name in (model.name, latest(model), model.tag):
            return model
    served = ", ".join(map(latest, models.captioners()))
    raise Problem("unknown-model", f"model '{name[:100]}' not found; served: {served}")


def latest(model: StoredModel) -> str:
    """Return a model's name as Ollama's clients know names: with a tag."""
    return f"{model.name}:{_LATEST}"


def question(asked: GenerateRequest | ChatRequest) -> Question | None:
    """Return what is asked; `None` where nothing is, which Ollama's clients do to load a model.

    Of a conversation this is the user's newest message that has a picture, of several pictures
    the first.
    """
    if isinstance(asked, GenerateRequest):
        images = asked.images or []
        text = (asked.prompt or "").strip()
        return Question(text, images[0] if images else None) if text or images else None
    if not asked.messages:
        return None
    said = [message for message in asked.messages if message.role == "user"]
    text = (said[-1].content or "").strip() if said else ""
    pictures = (message.images[0] for message in reversed(said) if message.images)
    return Question(text, next(pictures, None))


def wanted_format(value: Any) -> Form:
    """Return `"json"` or a JSON schema, whichever the answer is to be; `None` for a sentence.

    Raises:
        Problem: it is neither.
    """
    if value in (None, ""):
        return None
    if value == "json" or isinstance(value, dict):
        return value if isinstance(value, dict) else "json"
    raise fault("format", "must be `json` or a JSON schema", value)


def caption_options(
    asked: GenerateRequest | ChatRequest, text: str, model: StoredModel, honoured: frozenset[str]
) -> CaptionOptions:
    """Return how to caption.

    Many clients send a temperature without being asked to, for language models that write better
    with one. A captioner does not, so a temperature alone is the model's own search; who wants
    captions that differ sends a `seed` (above 0) as well.

    Args:
        asked: the request.
        text: what the user writes beside the picture.
        model: that is to caption.
        honoured: options that it honours.

    Raises:
        Problem: one of the options that are honoured has a value of another type.
    """
    given = asked.options or {}
    numbers = {name: _number(given, name) for name in ("temperature", "top_p", "seed")}
    options = {
        **_sampling(**numbers),
        "max_length": _max_length(_number(given, "num_predict"), model),
        "prompt": prompt_for(model, text, wanted_format(asked.format), honoured),
    }
    honourable = {name: value for name, value in options.items() if name in honoured}
    return CaptionOptions.model_validate(honourable)


def _sampling(
    temperature: float | None, top_p: float | None, seed: float | None
) -> dict[str, float | int]:
    if not (temperature and temperature > 0 and seed and seed > 0):
        return {}
    found: dict[str, float | int] = {
        "temperature": min(max(temperature, _LOWEST_TEMPERATURE), _HIGHEST_TEMPERATURE),
        "seed": int(seed) % SEEDS,
    }
    if top_p is not None and 0 < top_p < 1:
        found["top_p"] = top_p
    return found


def _max_length(num_predict: float | None, model: StoredModel) -> int | None:
    """Return the longest length; it is a limit, so one above the model's own changes nothing."""
    # Below 0, Ollama sets none.
    if num_predict is None or not 0 < num_predict < model.metadata.decode.max_length:
        return None
    return max(int(num_predict), SHORTEST)


def _number(options: Mapping[str, Any], name: str) -> float | None:
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise fault(f"options.{name}", "must be a number", value)
    return value

"""The tools that agents get: what each takes, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from models.api.options import CaptionOptions
from models.store import StoredModel
from serving.api.structured import Said
from serving.api.talking import picture_url, prompt_for
from serving.base.problems import fault
from serving.contract.requests import MAX_TEXT_LENGTH, MAX_TEXTS, CaptionForm, MatchForm
from serving.contract.schemas import CaptionResponse
from serving.gateway.gateway import Gateway

_CHOICES = 5
"""Captions that an alternative text is chosen among, where the best one is too long."""

_PENALTIES = {"short": 0.0, "long": 2.0}
"""`length_penalty` of the search, by the length that is asked for."""


class _Picture(BaseModel):
    """The arguments that every tool has: which picture is meant."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[
        str | None,
        Field(description="The picture's http(s) address, if the server fetches any."),
    ] = None
    data: Annotated[
        str | None, Field(description="The picture's bytes in base64, or a `data:` URL.")
    ] = None

    def address(self) -> str:
        """Return the URL that leads to the picture.

        Raises:
            Problem: there is none, or more than one.
        """
        if self.url and not self.data:
            return self.url
        if self.data and not self.url:
            return picture_url(self.data)
        raise fault("data", "give the picture either as `data` or as `url`")


class DescribeImage(_Picture):
    """Arguments of `describe_image`."""

    length: Annotated[
        Literal["short", "normal", "long"], Field(description="How long the sentence is to be.")
    ] = "normal"
    prompt: Annotated[
        str | None,
        Field(
            description="What to say of the picture, or a question about it; counts for models "
            "that answer requests, others describe the picture."
        ),
    ] = None


class AltText(_Picture):
    """Arguments of `alt_text`."""

    max_chars: Annotated[int, Field(ge=20, le=1_000, description="Most characters.")] = 125


class Match(_Picture):
    """Arguments of `match`."""

    texts: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH, pattern=r"\S")]],
        Field(min_length=1, max_length=MAX_TEXTS, description="Texts to compare with the picture."),
    ]


class Told(NamedTuple):
    """What a tool answers.

    Attributes:
        text: for people and language models.
        facts: the same for programs, as JSON has it.
    """

    text: str
    facts: dict[str, Any]


class Tool(NamedTuple):
    """A tool.

    Attributes:
        title: for people.
        description: for language models, which choose tools by it.
        takes: model of its arguments.
        run: does it, given the gateway, the arguments and the request's identity; raises `Problem`.
    """

    title: str
    description: str
    takes: type[_Picture]
    run: Callable[[Gateway, Any, str], Awaitable[Told]]


async def _describe(gateway: Gateway, asked: DescribeImage, identity: str) -> Told:
    model = gateway.models.get(None)
    honoured = gateway.models.honoured(model)
    wanted: dict[str, Any] = {
        "length_penalty": _PENALTIES.get(asked.length),
        "prompt": prompt_for(model, (asked.prompt or "").strip(), None, honoured),
    }
    options = CaptionOptions(**{name: wanted[name] for name in wanted if name in honoured})
    image = await gateway.fetch(asked.address(), model)
    answer = await _captioned(gateway, image, model, options, identity)
    (best, *_) = answer.captions
    said = Said.by(best.text, best.confidence)
    facts = {"caption": said.text, "confidence": said.confidence, "things": list(said.labels)}
    return Told(said.text, {**facts, "model": model.name})


async def _alt_text(gateway: Gateway, asked: AltText, identity: str) -> Told:
    model = gateway.models.get(None)
    image = await gateway.fetch(asked.address(), model)
    texts: list[str] = []
    for options in (CaptionOptions(), CaptionOptions(num_captions=_CHOICES)):
        answer = await _captioned(gateway, image, model, options, identity)
        texts = [caption.text for caption in answer.captions]
        fitting = [text for text in texts if len(text) <= asked.max_chars]
        if fitting:
            return Told(fitting[0], {"alt_text": fitting[0], "cut": False})
    text = texts[0][: asked.max_chars + 1].rsplit(None, 1)[0][: asked.max_chars].rstrip(" ,;:-")
    return Told(text, {"alt_text": text, "cut": True})


async def _captioned(
    gateway: Gateway, image: bytes, model: StoredModel, options: CaptionOptions, identity: str
) -> CaptionResponse:
    return await gateway.caption(CaptionForm(image, options, model.name, None), identity)


async def _match(gateway: Gateway, asked: Match, identity: str) -> Told:
    matcher = gateway.models.require_matcher()
    image = await gateway.fetch(asked.address(), matcher)
    answer = await gateway.match(MatchForm(image, asked.texts, None, None), identity)
    rows = [{"text": one.text, "score": round(one.score, 4)} for one in answer.matches]
    told = "\n".join(f"{row['score']:.4f} {row['text']}" for row in rows)
    return Told(told, {"matches": rows, "model": matcher.name})


_CAPTIONING = {
    "describe_image": Tool(
        "Describe an image",
        "Describe in a sentence what a picture shows, and name the things in it.",
        DescribeImage,
        _describe,
    ),
    "alt_text": Tool(
        "Write an alternative text",
        "Write an alternative text for a picture on a web page: one sentence, not too long.",
        AltText,
        _alt_text,
    ),
}
_MATCHING = {
    "match": Tool(
        "Compare texts with an image",
        "Score how well each of several texts fits a picture, 0 to 1, best first.",
        Match,
        _match,
    ),
}


def offered(gateway: Gateway) -> dict[str, Tool]:
    """Return the tools that a server offers, by name."""
    return _CAPTIONING if gateway.models.matcher is None else {**_CAPTIONING, **_MATCHING}

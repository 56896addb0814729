"""What a client asks of the gateway, whichever way it came in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.api.options import CaptionOptions
from serving.base.problems import FieldError, invalid_field

TEXTS_FIELD = "texts"
"""Field of a request that holds the texts to rank."""


@dataclass(frozen=True)
class CaptionForm:
    """What a client asked for.

    Attributes:
        image: content of the uploaded file.
        options: how to caption.
        model: a model's name; `None` is the default model.
        id: to be echoed.
    """

    image: bytes
    options: CaptionOptions
    model: str | None
    id: str | None


@dataclass(frozen=True)
class BatchForm:
    """What a client asked for, for several pictures.

    Attributes:
        images: contents of the uploaded files, at least one.
        options: how to caption.
        model: a model's name; `None` is the default model.
        id: to be echoed, in every answer.
    """

    images: list[bytes]
    options: CaptionOptions
    model: str | None
    id: str | None

    def singles(self) -> Iterator[CaptionForm]:
        """Yield a form for each picture."""
        for image in self.images:
            yield CaptionForm(image, self.options, self.model, self.id)


@dataclass(frozen=True)
class MatchForm:
    """What a client asked for.

    Attributes:
        image: content of the uploaded file.
        texts: to be ranked, at least one.
        model: the matcher's name; `None` is whichever is served.
        id: to be echoed.
    """

    image: bytes
    texts: list[str]
    model: str | None
    id: str | None


def text_error(number: int, reason: str, text: str) -> FieldError:
    """Return the account of what is wrong with the `number`-th text, counted from 1."""
    return invalid_field(TEXTS_FIELD, f"text {number} {reason}", text)

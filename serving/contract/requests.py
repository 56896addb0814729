"""What a client asks: each request's fields, declared once, and what the gateway makes of them.

A model here is at once the check of a form or of a JSON body, its part of the OpenAPI document, and
the parameters of a BentoML API. Its configuration comes from `CaptionOptions`: no other fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from models.api.options import CaptionOptions
from serving.base.problems import FieldError, invalid_field, invalid_fields

IMAGE_FIELD = "image"
"""Field of a request that holds its picture."""

TEXTS_FIELD = "texts"
"""Field of a request that holds the texts to rank."""

MOST_IMAGES = 32
"""Most pictures in one batch."""

MAX_TEXTS = 32
"""Most texts in one request."""

MAX_TEXT_LENGTH = 2_000
"""Longest text in characters; the matcher itself may read fewer, which it counts in tokens."""

MAX_ID_LENGTH = 200
"""Longest `id` in characters."""


@dataclass(frozen=True)
class CaptionForm:
    """What the gateway is asked for.

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
    """What the gateway is asked for, for several pictures.

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
    """What the gateway is asked for.

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


@dataclass(frozen=True)
class Needed:
    """Says of a field what is missing where it is not given.

    Attributes:
        what: ends the sentence "required: ".
    """

    what: str


def _short(identity: str) -> str:
    if len(identity) > MAX_ID_LENGTH:
        raise ValueError(f"at most {MAX_ID_LENGTH} characters")
    return identity


_Identity: TypeAlias = Annotated[
    str, AfterValidator(_short), WithJsonSchema({"type": "string", "maxLength": MAX_ID_LENGTH})
]

_Id: TypeAlias = Annotated[
    _Identity | None, Field(description="Comes back in the answer.", examples=["holiday-17"])
]


class _Named(BaseModel):
    """The fields that every request may have."""

    model: Annotated[
        str | None, Field(description="Served model to caption with; the first by default.")
    ] = None
    id: _Id = None


class _OnePicture(BaseModel):
    image: Annotated[bytes, Needed("the picture to caption"), Field(description="The picture.")]


class _SeveralPictures(BaseModel):
    images: Annotated[
        list[bytes],
        Needed("the picture to caption"),
        Field(
            min_length=1,
            max_length=MOST_IMAGES,
            description=f"1 to {MOST_IMAGES} pictures: the field is repeated, once for each.",
        ),
    ]


class _Address(BaseModel):
    url: Annotated[str, Field(min_length=1, description="Address of the picture.")]


class CaptionInput(_Named, CaptionOptions, _OnePicture):
    """What `/caption` takes."""

    def form(self) -> CaptionForm:
        """Return what the gateway is asked for."""
        return CaptionForm(self.image, _options(self), self.model, self.id)


class CaptionUrlInput(_Named, CaptionOptions, _Address):
    """What `/caption_url` takes. A member that is null is one that is not there, known or not."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": {"type": "null"}})

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: member for name, member in value.items() if member is not None}

    def form(self, image: bytes) -> CaptionForm:
        """Return what the gateway is asked for, with the picture from `url`."""
        return CaptionForm(image, _options(self), self.model, self.id)

    def options(self) -> CaptionOptions:
        """Return how to caption."""
        return _options(self)


class CaptionBatchInput(_Named, CaptionOptions, _SeveralPictures):
    """What `/caption_batch` takes."""

    def form(self) -> BatchForm:
        """Return what the gateway is asked for."""
        return BatchForm(self.images, _options(self), self.model, self.id)


def _all_legible(texts: list[str]) -> list[str]:
    """Return `texts`.

    Raises:
        Problem: 422, names every text that is blank or too long.
    """
    errors = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            errors.append(text_error(number, "is empty", text))
        elif len(text) > MAX_TEXT_LENGTH:
            limit = f"has {len(text):,} characters, at most {MAX_TEXT_LENGTH:,} are read"
            errors.append(text_error(number, limit, text))
    if errors:
        raise invalid_fields(errors)
    return texts


_Text: TypeAlias = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_LENGTH, "pattern": r"\S"}
    ),
]


class MatchInput(BaseModel):
    """What `/match` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Annotated[
        bytes, Needed("the picture that the texts are ranked for"), Field(description="The picture")
    ]
    texts: Annotated[
        list[_Text],
        Needed(f"1 to {MAX_TEXTS} texts, a field for each"),
        AfterValidator(_all_legible),
        Field(
            min_length=1,
            max_length=MAX_TEXTS,
            description=f"1 to {MAX_TEXTS} texts to rank, a field for each, of at most "
            f"{MAX_TEXT_LENGTH:,} characters; not blank. The matcher may read fewer: it counts "
            "tokens, and says so where a text has too many. None is cut short.",
            examples=[["a dog on the grass", "a cat in a tree"]],
        ),
    ]
    model: Annotated[str | None, Field(description="The served matcher; it need not be named.")] = (
        None
    )
    id: _Id = None

    def form(self) -> MatchForm:
        """Return what the gateway is asked for."""
        return MatchForm(self.image, self.texts, self.model, self.id)


def text_error(number: int, reason: str, text: str) -> FieldError:
    """Return the account of what is wrong with the `number`-th text, counted from 1."""
    return invalid_field(TEXTS_FIELD, f"text {number} {reason}", text)


def _options(asked: CaptionOptions) -> CaptionOptions:
    """Return a captioning request's options alone."""
    return CaptionOptions(**{name: getattr(asked, name) for name in CaptionOptions.model_fields})

"""How to caption: the options of a request, a model's own defaults. No torch here.

`CaptionOptions` is the one place that knows the options' limits and meanings: the HTTP layer, the
OpenAPI document and the methods all read them from its fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

OptionName = Literal[
    "num_captions",
    "num_beams",
    "max_length",
    "length_penalty",
    "temperature",
    "top_p",
    "seed",
    "prompt",
    "attention",
    "rerank",
]

DECODING_OPTIONS: frozenset[OptionName] = frozenset(
    {
        "num_captions",
        "num_beams",
        "max_length",
        "length_penalty",
        "temperature",
        "top_p",
        "seed",
    }
)
"""Options that `models.decoding` sees to, whatever the method."""

SEEDS = 2**63
"""How many seeds of sampling there are: from 0 on."""

LONGEST_CAPTION = 64
"""Most tokens that may be asked for, the end token included."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Has a field of an integer take an integral float, where types are not bent otherwise: to JSON,
and to the many languages with one kind of number, 2.0 is 2."""


class UnsupportedOptionError(ValueError):
    """A method was given an option that it cannot honour.

    Attributes:
        option: the option's name.
        method: the method's name.
    """

    def __init__(self, option: str, method: str, honoured: Sequence[str]) -> None:
        self.option, self.method = option, method
        super().__init__(
            f"the method {method!r} cannot honour the option {option!r}; "
            f"it honours: {', '.join(sorted(honoured))}"
        )


class UnsupportedValueError(UnsupportedOptionError):
    """A model takes the option, but cannot honour this value of it."""

    def __init__(self, option: str, method: str, reason: str) -> None:
        self.option, self.method = option, method
        ValueError.__init__(self, f"the method {method!r} cannot honour this {option!r}: {reason}")


class CaptionOptions(BaseModel):
    """How to caption. Every field may be left out: the model's own default then holds.

    Requests whose options are equal but for seed and prompt share a batch, so the class is frozen
    and hashable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_captions: Annotated[
        int | None,
        Field(
            ge=1,
            le=10,
            description="How many captions to return, best first. No two read alike but for case, "
            "spacing and punctuation; where the model finds fewer, fewer come.",
            examples=[1],
        ),
        WHOLE,
    ] = None
    num_beams: Annotated[
        int | None,
        Field(
            ge=1,
            le=8,
            description="Width of the beam search; 1 is greedy. At least `num_captions` when both "
            "are given. Not together with `temperature`.",
            examples=[3],
        ),
        WHOLE,
    ] = None
    max_length: Annotated[
        int | None,
        Field(ge=4, le=LONGEST_CAPTION, description="Longest caption, in tokens.", examples=[20]),
        WHOLE,
    ] = None
    length_penalty: Annotated[
        float | None,
        Field(
            ge=-2.0,
            le=5.0,
            description="Beam search ranks by log-probability / length ** length_penalty: above 0 "
            "favours longer captions.",
            examples=[1.0],
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Field(
            gt=0.0,
            le=5.0,
            description="Sample instead of searching: low is careful, 1 is the model's own "
            "distribution, high is adventurous.",
            examples=[0.7],
        ),
    ] = None
    top_p: Annotated[
        float | None,
        Field(
            gt=0.0,
            le=1.0,
            description="Nucleus sampling: draw from the likeliest tokens whose probabilities sum "
            "to this. Needs `temperature`.",
            examples=[0.9],
        ),
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=0,
            le=SEEDS - 1,
            description="Makes sampling repeatable. Needs `temperature`.",
            examples=[42],
        ),
        WHOLE,
    ] = None
    prompt: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=500,
            description="Text the caption continues or answers, for methods that take one.",
            examples=["a photograph of"],
        ),
    ] = None
    attention: Annotated[
        bool | None,
        Field(
            description="Also return where the model looked for each word, for methods with "
            "cross-attention.",
            examples=[False],
        ),
    ] = None
    rerank: Annotated[
        bool | None,
        Field(
            description="Order the captions by how well a matcher finds that they fit the picture, "
            "and tell that as `match_score`; the matcher chooses among at least five captions. "
            "Needs a server with a matcher.",
            examples=[False],
        ),
    ] = None

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if self.temperature is None:
            for name in ("top_p", "seed"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} applies to sampling: give temperature as well")
        elif self.num_beams is not None and self.num_beams > 1:
            raise ValueError(
                "temperature asks for sampling and num_beams for beam search: give one of them"
            )
        if (
            self.temperature is None
            and self.num_beams is not None
            and self.num_captions is not None
            and self.num_captions > self.num_beams
        ):
            raise ValueError(
                f"num_captions {self.num_captions} needs num_beams of at least as many, "
                f"got {self.num_beams}; leave num_beams out to have it chosen"
            )
        if self.rerank and self.num_beams == 1 and self.temperature is None:
            raise ValueError(
                "rerank chooses among several captions, and num_beams 1 finds one only: give more, "
                "or leave it out"
            )
        return self

    def asked(self) -> dict[str, object]:
        """Return the options that were given, by name."""
        return {k: v for k, v in self.model_dump().items() if v is not None}

    def shared(self) -> CaptionOptions:
        """Return the options without those that every picture of a batch may have its own of."""
        if self.seed is None and self.prompt is None:
            return self
        return self.model_copy(update={"seed": None, "prompt": None})


class DecodeDefaults(BaseModel):
    """A model's own decoding settings, stored in its `captionbox.json`.

    Attributes:
        no_repeat_ngram: no n-gram of this size occurs twice in a caption; 0 allows all. Set by who
            trains a model, not by who asks it. The others are `CaptionOptions`' of the same name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_captions: int = 1
    num_beams: int = 3
    max_length: int = 24
    length_penalty: float = 1.0
    top_p: float = 1.0
    no_repeat_ngram: int = 0
    prompt: str | None = None


def check_honoured(options: CaptionOptions, method: str, honours: frozenset[OptionName]) -> None:
    """Raise `UnsupportedOptionError` for the first option given that is not in `honours`."""
    for name, value in options.asked().items():
        # Asking a method without attention maps for none is no request at all.
        if name not in honours and value is not False:
            raise UnsupportedOptionError(name, method, list(honours))

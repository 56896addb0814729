"""Scores of a model, each with how it was measured: the one declaration. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from models.api.device import Precision
from models.api.options import DecodeDefaults

Tokenisation = Literal["words", "ptb-python", "ptb-java"]
"""How captions became words before they were scored; see `training.metrics.scoring`."""

_TOKENS = {
    None: "tokenisation not on record",
    "words": "lower-cased words without punctuation",
    "ptb-python": "Penn Treebank tokens",
    "ptb-java": "Penn Treebank tokens, by Java",
}


class Conditions(BaseModel):
    """How scores were measured. Two scores may be compared if these are the same.

    None stands for what is not on record: older versions of this code did not write it down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Annotated[str, Field(description="Data set and split.", examples=["flickr8k/val"])]
    pictures: Annotated[int | None, Field(description="Pictures scored.", examples=[1000])] = None
    precision: Annotated[
        Precision, Field(description="Number format that the model computed in.")
    ] = "fp32"
    num_beams: Annotated[
        int | None, Field(description="Width of the beam search; 1 is greedy.", examples=[3])
    ] = None
    max_length: Annotated[
        int | None, Field(description="Longest caption, in tokens.", examples=[24])
    ] = None
    length_penalty: Annotated[
        float | None, Field(description="Of the beam search.", examples=[1.0])
    ] = None
    no_repeat_ngram: Annotated[
        int | None,
        Field(description="No n-gram of this size came twice; 0 allowed all.", examples=[2]),
    ] = None
    tokenizer: Annotated[
        Tokenisation | None,
        Field(description="How captions became words: without punctuation, or Penn Treebank's."),
    ] = None

    @classmethod
    def of(
        cls,
        data: str,
        pictures: int,
        decode: DecodeDefaults,
        precision: Precision,
        tokenizer: Tokenisation,
    ) -> Self:
        """Return the conditions of captions that were searched with these settings."""
        return cls(
            data=data,
            pictures=pictures,
            precision=precision,
            num_beams=decode.num_beams,
            max_length=decode.max_length,
            length_penalty=decode.length_penalty,
            no_repeat_ngram=decode.no_repeat_ngram,
            tokenizer=tokenizer,
        )

    def computing_in(self, precision: Precision) -> Self:
        """Return the same conditions in another number format."""
        return self.model_copy(update={"precision": precision})

    @property
    def where(self) -> str:
        """The data, for people."""
        return self.data if self.pictures is None else f"{self.data} ({self.pictures:,} pictures)"

    @property
    def how(self) -> str:
        """Everything but the data, in one line for people."""
        if self.num_beams is None:
            search = "beam width and length not on record"
        else:
            search = f"beam search of width {self.num_beams}" if self.num_beams > 1 else "greedy"
        parts = [
            search,
            f"up to {self.max_length} tokens" if self.max_length else "",
            f"length penalty {self.length_penalty:g}" if self.length_penalty is not None else "",
            f"no {self.no_repeat_ngram}-gram twice" if self.no_repeat_ngram else "",
            self.precision,
            _TOKENS[self.tokenizer],
        ]
        return ", ".join(part for part in parts if part)


class Measured(BaseModel):
    """Scores, and how they were measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conditions: Conditions
    scores: Annotated[
        dict[str, float], Field(description="By metric.", examples=[{"cider": 0.608}])
    ]

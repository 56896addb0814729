"""What a captioner answers: captions, and where the decoder looked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field


class WordAttention(BaseModel):
    """One word of a caption and where the decoder looked while it wrote it."""

    word: Annotated[str, Field(description="As it stands in the caption's text.", examples=["dog"])]
    attention: Annotated[
        list[list[float]],
        Field(
            description="Weights over a grid of the picture as the model saw it, rows from the top "
            "and each from the left, summing to 1. The last layer's cross-attention, averaged over "
            "its heads and over the tokens that the word is made of. The grid is the model's own: "
            "7 x 7 for `compact`, 14 x 14 for `vit-gpt2` at 224 pixels.",
            examples=[[[0.1, 0.6], [0.1, 0.2]]],
        ),
    ]


class Caption(BaseModel):
    """One caption of one picture.

    Attributes:
        text: a sentence for people to read.
        log_prob: sum of the tokens' natural-log probabilities, end token included; at most 0.
        confidence: `exp(mean token log-probability)`, 0..1. Comparable between captions of one
            model, not between models, and not the chance that the caption is right.
        tokens: how many tokens the model wrote, the end token included; None where it is not known.
        truncated: whether it was cut at `max_length`, before its end.
        words: filled on request, where the method has cross-attention.
        match_score: 0..1, a matcher's probability that the caption belongs to the picture; filled
            by `rerank`.
    """

    text: str
    log_prob: float
    confidence: Annotated[float, Field(ge=0.0, le=1.0)]
    tokens: Annotated[int | None, Field(ge=0)] = None
    truncated: bool = False
    words: list[WordAttention] | None = None
    match_score: Annotated[float | None, Field(ge=0.0, le=1.0)] = None

"""What gateway and engine say to each other about matching."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class MatchRequest(BaseModel):
    """One picture and one text: what a batch counts.

    A picture's requests hold the same `bytes` object. Pickle sends that once, and the engine
    computes the picture once.

    Attributes:
        pixels: `uint8 [3, H, W]` in C order, at the size of the matcher's preprocess spec.
        text: to be scored.
    """

    model_config = ConfigDict(frozen=True)

    pixels: bytes
    text: str


class MatchAnswer(BaseModel):
    """The score of one text, or why there is none. Errors are values: see `serving.engine`.

    Attributes:
        score: 0..1.
        inference_ms: time the batch took.
        error: what kind of error, if one.
        detail: the error in words for the client; empty for `"failed"`.
    """

    score: float = 0.0
    inference_ms: float = 0.0
    error: Literal["text-too-long", "failed"] | None = None
    detail: str = ""

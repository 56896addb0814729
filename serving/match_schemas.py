"""What `POST /match` takes and answers, field by field."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from serving.images import ImageInfo
from serving.schemas import ModelInfo, Timing

MAX_TEXTS = 32
"""Most texts in one request."""

MAX_TEXT_LENGTH = 2_000
"""Longest text in characters; the matcher itself may read fewer, which it counts in tokens."""


class Match(BaseModel):
    """How well one text fits the picture."""

    text: Annotated[str, Field(description="As it was given.", examples=["a dog on the grass"])]
    score: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="The matcher's probability that the text belongs to the picture. It "
            "compares texts for one picture; the scores of one picture need not sum to 1.",
            examples=[0.97],
        ),
    ]


class MatchResponse(BaseModel):
    """Texts ranked by how well they fit a picture."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "matches": [
                    {"text": "a dog on the grass", "score": 0.97},
                    {"text": "a cat in a tree", "score": 0.004},
                ],
                "model": {"name": "bridgetower", "version": "1.0.0", "method": "bridgetower"},
                "image": {"width": 1024, "height": 768, "format": "JPEG"},
                "id": "holiday-17",
                "timing_ms": {"decode": 12.4, "queue": 3.1, "inference": 1480.0},
            }
        }
    )

    matches: Annotated[
        list[Match], Field(description="Every text that was given, best first.", min_length=1)
    ]
    model: ModelInfo
    image: ImageInfo
    id: Annotated[
        str,
        Field(description="The request's `id` field, or its `X-Request-ID` where none was given."),
    ]
    timing_ms: Timing

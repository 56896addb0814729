"""Answers of the HTTP interface, field by field. The OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from models.api.device import PrecisionChoice
from models.api.measured import Measured
from models.api.options import OptionName
from models.api.preprocessing import Fit
from models.api.results import Caption
from models.hub.known_models import KnownModel
from models.registry import Kind
from serving.contract.problem_details import ProblemDetails


class ImageInfo(BaseModel):
    """What the uploaded picture is.

    Attributes:
        width: in pixels, as seen upright.
        height: in pixels, as seen upright.
        format: Pillow's name of the format that the bytes are in.
    """

    width: Annotated[int, Field(ge=1, description="Width as seen upright.", examples=[1024])]
    height: Annotated[int, Field(ge=1, description="Height as seen upright.", examples=[768])]
    format: Annotated[str, Field(description="Format that the bytes are in.", examples=["JPEG"])]


class ModelInfo(BaseModel):
    """Which model wrote the captions."""

    name: Annotated[str, Field(description="Name it is served under.", examples=["compact"])]
    version: Annotated[str, Field(description="Version in the model store.", examples=["1.0.0"])]
    method: Annotated[str, Field(description="Kind of captioner.", examples=["compact"])]


class Timing(BaseModel):
    """Where the time went, in milliseconds."""

    decode: Annotated[
        float, Field(ge=0, description="Decoding and resizing the picture.", examples=[9.1])
    ]
    queue: Annotated[
        float,
        Field(ge=0, description="Waiting for a batch, and transport.", examples=[4.2]),
    ]
    inference: Annotated[
        float,
        Field(ge=0, description="Captioning the batch the picture was in.", examples=[61.0]),
    ]
    fetch: Annotated[
        float | None,
        Field(ge=0, description="Fetching the picture, where a URL was given.", examples=[120.5]),
    ] = None


CAPTION_EXAMPLE: JsonDict = {
    "captions": [
        {
            "text": "A dog runs on the grass.",
            "confidence": 0.52,
            "log_prob": -4.6,
            "tokens": 7,
            "truncated": False,
        }
    ],
    "model": {"name": "compact", "version": "1.0.0", "method": "compact"},
    "image": {"width": 1024, "height": 768, "format": "JPEG"},
    "id": "holiday-17",
    "timing_ms": {"decode": 9.1, "queue": 4.2, "inference": 61.0},
}

RERANK_EXAMPLE: JsonDict = {
    **CAPTION_EXAMPLE,
    "captions": [
        {
            "text": "A brown dog runs on the grass.",
            "confidence": 0.44,
            "log_prob": -6.5,
            "tokens": 8,
            "truncated": False,
            "match_score": 0.97,
        },
        {
            "text": "A dog runs on the grass.",
            "confidence": 0.52,
            "log_prob": -4.6,
            "tokens": 7,
            "truncated": False,
            "match_score": 0.91,
        },
    ],
    "matcher": {"name": "bridgetower", "version": "1.0.0", "method": "bridgetower"},
    "timing_ms": {"decode": 21.5, "queue": 7.3, "inference": 1541.0},
}


class CaptionResponse(BaseModel):
    """Captions of one picture."""

    model_config = ConfigDict(json_schema_extra={"example": CAPTION_EXAMPLE})

    captions: Annotated[
        list[Caption],
        Field(
            description="Best first. `confidence` is exp(mean log-probability of the tokens), "
            "0..1: comparable between captions of one model, not the chance that one is right. "
            "With `rerank` the order is that of `match_score`: the matcher's probability, 0..1, "
            "that the caption belongs to the picture."
        ),
    ]
    model: ModelInfo
    image: ImageInfo
    id: Annotated[
        str,
        Field(description="The request's `id` field, or its `X-Request-ID` where none was given."),
    ]
    matcher: Annotated[
        ModelInfo | None, Field(description="Which model ordered the captions, if `rerank` was on.")
    ] = None
    timing_ms: Timing


class BatchFailure(BaseModel):
    """Stands where a picture of a batch could not be captioned."""

    error: Annotated[ProblemDetails, Field(description="Why there is no caption.")]


class BatchResponse(BaseModel):
    """Captions of several pictures."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "results": [
                    CAPTION_EXAMPLE,
                    {
                        "error": {
                            "type": "/problems/broken-image",
                            "title": "Broken image",
                            "status": 422,
                            "detail": "The picture is truncated: its data ends early.",
                            "instance": "/caption_batch",
                            "request_id": "5f0c7b2e9d0a4d0c8f6f0e7c9b1a2d3e",
                        }
                    },
                ]
            }
        }
    )

    results: Annotated[
        list[CaptionResponse | BatchFailure],
        Field(description="One for each picture, in their order."),
    ]


class InputSize(BaseModel):
    """How pictures are brought to the model."""

    height: Annotated[int, Field(description="In pixels.")]
    width: Annotated[int, Field(description="In pixels.")]
    fit: Annotated[
        Fit,
        Field(
            description="`squash` resizes whatever the aspect ratio, `crop` cuts out the centre, "
            "`pad` adds black, `multiple` keeps the aspect ratio and does whichever is needed."
        ),
    ]


_SERVED_MODEL_EXAMPLE: JsonDict = {
    "id": "compact",
    "object": "model",
    "created": 1763856000,
    "owned_by": "captionbox",
    "version": "1.0.0",
    "method": "compact",
    "kind": "captioner",
    "default": True,
    "parameters": 11127948,
    "computes_in": {
        "precision": "bf16",
        "asked": "auto",
        "backend": "torch",
        "backend_asked": "torch",
        "ms_per_caption": {"fp32": 11.2, "bf16": 8.4},
    },
    "options": ["num_captions", "num_beams", "max_length", "temperature", "seed", "attention"],
    "input": {"height": 224, "width": 224, "fit": "squash"},
    "data": ["flickr8k/train"],
    "metrics": {"flickr8k/val": {"cider": 0.608}},
    "scores": [
        {
            "conditions": {
                "data": "flickr8k/val",
                "pictures": 1000,
                "precision": "fp32",
                "num_beams": 3,
                "max_length": 24,
                "length_penalty": 1.0,
                "no_repeat_ngram": 2,
                "tokenizer": "words",
            },
            "scores": {"cider": 0.608},
        }
    ],
    "licence": "Apache-2.0",
    "source": "python -m training.train --config compact",
    "weights_bytes": 22417048,
    "known": None,
}


class ServedModel(BaseModel):
    """A served model: the fields of OpenAI's model object, and ours."""

    model_config = ConfigDict(json_schema_extra={"example": _SERVED_MODEL_EXAMPLE})

    id: Annotated[str, Field(description="Name to ask for it by.", examples=["compact"])]
    object: Literal["model"] = "model"
    created: Annotated[int, Field(description="When its files were made, Unix seconds.")]
    owned_by: str = "captionbox"
    version: Annotated[str, Field(description="Version in the model store.")]
    method: Annotated[str, Field(description="How it works.", examples=["compact"])]
    kind: Annotated[
        Kind,
        Field(
            description="A captioner writes captions; a matcher ranks texts, and is no `model` to "
            "caption with.",
            examples=["captioner"],
        ),
    ]
    default: Annotated[bool, Field(description="Used when a request names no model.")]
    parameters: Annotated[int, Field(description="Number of weights.")]
    computes_in: Annotated[
        PrecisionChoice | None,
        Field(
            description="Number format that the model computes in and what runs it, the two "
            "settings, and where one is `auto` the milliseconds a caption that were measured at "
            "start. Null until an engine has loaded the model, and for a matcher.",
        ),
    ]
    options: Annotated[
        list[OptionName],
        Field(description="Options it honours; any other is refused with 422."),
    ]
    input: InputSize
    data: Annotated[list[str], Field(description="What it was trained on.")]
    metrics: Annotated[
        dict[str, dict[str, float]],
        Field(
            description="Scores in float32 by data set and split, of several those with the "
            "model's own beam width; `scores` tells how they were measured."
        ),
    ]
    scores: Annotated[
        list[Measured],
        Field(description="Every score on record with its conditions."),
    ]
    licence: Annotated[str, Field(description="Of the weights; empty where unknown.")]
    source: Annotated[str, Field(description="Where the weights come from.")]
    weights_bytes: Annotated[int, Field(description="Size of its weights on disk.")] = 0
    known: Annotated[
        KnownModel | None,
        Field(
            description="What is on record of the model of the hub that it was imported from, as "
            "`python -m models known` lists it: what it is good at, who may use it, how it scored "
            "for its authors. Null for any other."
        ),
    ] = None


class ModelsResponse(BaseModel):
    """Served models, the default first, in OpenAI's list format."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"object": "list", "data": [_SERVED_MODEL_EXAMPLE]}}
    )

    object: Literal["list"] = "list"
    data: list[ServedModel]


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

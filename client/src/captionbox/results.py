"""What comes back: the server's answers as pydantic objects.

Fields that a newer server adds are kept and can be read as attributes; they break nothing.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class WordAttention(_Answer):
    """One word of a caption and where the model looked while it wrote it.

    Attributes:
        word: as it stands in the caption.
        attention: rows x columns of weights over the picture, top left first, summing to 1.
    """

    word: str
    attention: list[list[float]]


class Caption(_Answer):
    """One caption of a picture.

    Attributes:
        text: a sentence for people to read.
        confidence: exp(mean log-probability of the tokens), 0..1: comparable between captions of
            one model, not between models, and not the chance that the caption is right.
        log_prob: sum of the tokens' natural-log probabilities; at most 0.
        tokens: how many tokens the model wrote, if the server tells.
        truncated: whether the caption was cut at `max_length`.
        words: where the model looked, if `attention` was asked for.
        match_score: how well the matcher found it to fit the picture, 0..1, if `rerank` was asked
            for; the captions are then ordered by it.
    """

    text: str
    confidence: float
    log_prob: float
    tokens: int | None = None
    truncated: bool = False
    words: list[WordAttention] | None = None
    match_score: float | None = None


class ModelUsed(_Answer):
    """Which model answered: its name, its version in the server's store, its kind."""

    name: str
    version: str
    method: str


class ImageInfo(_Answer):
    """What the server saw: width and height in pixels as seen upright, and the bytes' format."""

    width: int
    height: int
    format: str


class Timing(_Answer):
    """Where the time went on the server, in milliseconds."""

    decode: float
    queue: float
    inference: float


class CaptionResult(_Answer):
    """Captions of one picture.

    Attributes:
        captions: best first, at least one.
        model: which model wrote them.
        image: what the picture is.
        id: the `id` you gave, otherwise the request's.
        timing_ms: where the time went, in milliseconds.
        matcher: which model ordered them, if `rerank` was asked for.
    """

    captions: list[Caption] = Field(min_length=1)
    model: ModelUsed
    image: ImageInfo
    id: str
    timing_ms: Timing
    matcher: ModelUsed | None = None

    @property
    def text(self) -> str:
        """The best caption."""
        return self.captions[0].text

    @property
    def confidence(self) -> float:
        """Confidence of the best caption, 0..1."""
        return self.captions[0].confidence


class Match(_Answer):
    """How well one text fits the picture.

    Attributes:
        text: as it was given.
        score: the model's probability, 0..1, that the text belongs to the picture; comparable
            between texts for one picture, whose scores need not sum to 1.
    """

    text: str
    score: float


class MatchResult(_Answer):
    """Texts ranked by how well they fit a picture.

    Attributes:
        matches: every text that was given, best first, at least one.
        model: which model judged.
        image: what the picture is.
        id: the request's.
        timing_ms: where the time went, in milliseconds.
    """

    matches: list[Match] = Field(min_length=1)
    model: ModelUsed | None = None
    image: ImageInfo | None = None
    id: str | None = None
    timing_ms: Timing | None = None

    @property
    def best(self) -> Match:
        """The text that fits best."""
        return self.matches[0]


class ModelInfo(_Answer):
    """A model that the server offers.

    Attributes:
        id: the name to give as `model`.
        version: version in the server's model store.
        method: how it works.
        kind: `captioner`, or `matcher` for one that ranks texts and writes no captions.
        default: whether it answers requests that name no model.
        parameters: number of weights.
        options: the options it honours.
        created: when its files were made, Unix seconds.
    """

    id: str
    version: str | None = None
    method: str | None = None
    kind: str | None = None
    default: bool | None = None
    parameters: int | None = None
    options: list[str] | None = None
    created: int | None = None


class ModelList(_Answer):
    """Answer of `GET /v1/models`."""

    data: list[ModelInfo]

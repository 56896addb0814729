"""Between the gateway and the matcher: requests for the engine, and what its answers mean."""

from __future__ import annotations

from collections.abc import Sequence

from models.api.options import CaptionOptions, DecodeDefaults
from models.api.preprocessing import Pixels
from models.api.results import Caption
from serving.base.problems import Problem, invalid_fields
from serving.contract.messages import MatchAnswer, MatchRequest, pack
from serving.contract.requests import text_error
from serving.contract.schemas import Match

CANDIDATES = 5
"""Captions that `rerank` chooses from, where no more are asked for."""


def pairs(pixels: Pixels, texts: Sequence[str]) -> list[MatchRequest]:
    """Return a request for each text, all with the same picture."""
    packed = pack(pixels)
    return [MatchRequest(pixels=packed, text=text) for text in texts]


def ranking(texts: Sequence[str], answers: Sequence[MatchAnswer]) -> list[Match]:
    """Return the texts with their scores, best first; equal ones as they were given.

    Raises:
        Problem: 422 the matcher cannot read a text; 500 it failed.
    """
    _raise_if_failed(answers)
    errors = [
        text_error(number, f"is too long: {answer.detail}", text)
        for number, (text, answer) in enumerate(zip(texts, answers, strict=True), 1)
        if answer.error == "text-too-long"
    ]
    if errors:
        raise invalid_fields(errors)
    matches = [
        Match(text=text, score=answer.score) for text, answer in zip(texts, answers, strict=True)
    ]
    return sorted(matches, key=lambda match: -match.score)


def candidate_options(options: CaptionOptions, defaults: DecodeDefaults) -> CaptionOptions:
    """Return the options for the captions that `rerank` chooses from.

    They are at least `CANDIDATES`, unless a narrower beam search was asked for.
    """
    count = max(wanted_captions(options, defaults), CANDIDATES)
    if options.num_beams is not None and options.temperature is None:
        count = min(count, options.num_beams)
    return options.model_copy(update={"num_captions": count, "rerank": None})


def wanted_captions(options: CaptionOptions, defaults: DecodeDefaults) -> int:
    """Return how many captions are to be answered."""
    return options.num_captions or defaults.num_captions


def reranked(
    captions: Sequence[Caption], answers: Sequence[MatchAnswer], wanted: int
) -> list[Caption]:
    """Return the `wanted` captions that fit best, with their `match_score`, best first.

    Raises:
        Problem: 422 the matcher cannot read a caption; 500 it failed.
    """
    _raise_if_failed(answers)
    for answer in answers:
        if answer.error == "text-too-long":
            raise Problem(
                "unsupported-option",
                f"rerank: a caption is too long for the matcher: {answer.detail}; lower max_length",
            )
    scored = [
        caption.model_copy(update={"match_score": answer.score})
        for caption, answer in zip(captions, answers, strict=True)
    ]
    return sorted(scored, key=lambda caption: -(caption.match_score or 0.0))[:wanted]


def inference_ms(answers: Sequence[MatchAnswer]) -> float:
    """Return the time in the model that the answers waited for: their batches ran in turn."""
    return sum({answer.inference_ms for answer in answers})


def _raise_if_failed(answers: Sequence[MatchAnswer]) -> None:
    if any(answer.error == "failed" for answer in answers):
        raise Problem("internal-error", "The matcher failed on this picture.")

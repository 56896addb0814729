"""The engine's work for matching: score a batch of pairs of a picture and a text."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from models.api.matcher import TextTooLongError
from models.api.metadata import BrokenModelError
from models.registry import load_matcher
from models.store import StoredModel
from serving.base import metrics
from serving.contract.messages import MatchAnswer, MatchRequest, unpack
from serving.engine.loading import use_threads

logger = logging.getLogger(__name__)


class BatchMatcher:
    """A loaded matcher and how a batch goes through it. One thread at a time.

    Loads and warms up at once: when the constructor returns, it has scored a text.

    Args:
        model: a matcher in the store.
        threads: CPU threads to compute with.

    Raises:
        models.api.metadata.BrokenModelError: the model is damaged.
    """

    def __init__(self, model: StoredModel, threads: int) -> None:
        # Read by torch's OpenMP when the model's code imports it.
        use_threads(threads)
        started = time.monotonic()
        self._name = model.name
        try:
            self._matcher = load_matcher(model.path)
        except BrokenModelError as error:
            raise BrokenModelError(f"the model {model.tag}: {error}") from error
        spec = self._matcher.preprocess
        self._matcher.score(np.zeros((1, 3, spec.height, spec.width), np.uint8), [["warm up"]])
        seconds = time.monotonic() - started
        metrics.model_load_seconds().labels(model.name).set(seconds)
        logger.info("%s loaded and warmed up in %.1f s", model.tag, seconds)

    def match(self, requests: Sequence[MatchRequest]) -> list[MatchAnswer]:
        """Score pairs; the answers are in the same order, errors included."""
        answers: dict[int, MatchAnswer] = {}
        by_picture: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            try:
                self._matcher.check_text(request.text)
            except TextTooLongError as error:
                answers[index] = MatchAnswer(error="text-too-long", detail=str(error))
            else:
                by_picture[request.pixels].append(index)
        answers.update(self._score(requests, by_picture))
        return [answers[index] for index in range(len(requests))]

    def _score(
        self, requests: Sequence[MatchRequest], by_picture: dict[bytes, list[int]]
    ) -> dict[int, MatchAnswer]:
        """Return the answers of requests by their index. Pictures share a pass; each is run once.

        Args:
            requests: all of the batch.
            by_picture: which of them to score: the indices of each picture's.
        """
        if not by_picture:
            return {}
        try:
            return self._infer(requests, by_picture)
        except Exception:
            if len(by_picture) > 1:
                # One picture's bad luck is not to be everyone's.
                logger.warning("a batch of matches failed; one by one now", exc_info=True)
                alone = [self._score(requests, {key: by_picture[key]}) for key in by_picture]
                return {index: answer for part in alone for index, answer in part.items()}
            logger.exception("matching failed")
            (indices,) = by_picture.values()
            return {index: MatchAnswer(error="failed") for index in indices}

    def _infer(
        self, requests: Sequence[MatchRequest], by_picture: dict[bytes, list[int]]
    ) -> dict[int, MatchAnswer]:
        pixels = unpack(list(by_picture), self._matcher.preprocess)
        groups = list(by_picture.values())
        started = time.monotonic()
        scores = self._matcher.score(
            pixels, [[requests[i].text for i in group] for group in groups]
        )
        seconds = time.monotonic() - started
        count = sum(map(len, groups))
        metrics.pairs_per_batch().labels(self._name).observe(count)
        metrics.inference_seconds().labels(self._name).observe(seconds)
        metrics.matched().labels(self._name).inc(count)
        return {
            index: MatchAnswer(score=score, inference_ms=seconds * 1000)
            for group, found in zip(groups, scores, strict=True)
            for index, score in zip(group, found, strict=True)
        }

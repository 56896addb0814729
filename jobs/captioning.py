"""The work itself: decode pictures as the server does and caption them with one captioner."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jobs.reading import Encoded
from jobs.results import UNREADABLE, Job
from models.api.preprocessing import Pixels
from models.api.results import Caption
from models.registry import load_captioner
from serving.base.problems import Problem
from serving.pictures.images import decode

logger = logging.getLogger(__name__)


class DatasetCaptioner:
    """Captions batches of encoded pictures.

    Args:
        directory: the model's.
        job: what to do.
        max_pixels: most pixels that a picture may have.

    Raises:
        models.api.metadata.BrokenModelError: the model is damaged.
        ValueError: it cannot compute in the job's precision.
    """

    def __init__(self, directory: Path, job: Job, max_pixels: int) -> None:
        if job.precision == "auto":
            raise ValueError("the precision is still to be chosen")
        self._captioner = load_captioner(directory, job.precision)
        self._job, self._max_pixels = job, max_pixels

    def caption(self, batch: Sequence[Encoded]) -> list[dict[str, Any]]:
        """Return the rows of a batch, in order, as of `jobs.results.SCHEMA`."""
        rows: list[dict[str, Any] | None] = []
        pixels: list[Pixels] = []
        for picture in batch:
            if picture.data is None:
                error, reason = picture.error or UNREADABLE, picture.reason or ""
                rows.append(self._job.bad_row(picture.key, error, reason))
                continue
            try:
                pixels.append(decode(picture.data, self._captioner.preprocess, self._max_pixels)[0])
                rows.append(None)
            except Problem as problem:
                rows.append(self._job.bad_row(picture.key, problem.type_slug, problem.detail))
        captions = iter(self._infer(pixels))
        return [
            self._row(picture.key, next(captions)) if row is None else row
            for picture, row in zip(batch, rows, strict=True)
        ]

    def _row(self, key: str, captions: list[Caption]) -> dict[str, Any]:
        if captions:
            return self._job.row(key, captions)
        return self._job.bad_row(key, "internal-error", "The model failed on this picture.")

    def _infer(self, pixels: Sequence[Pixels]) -> list[list[Caption]]:
        """Return captions best first for each picture; none where the model fails."""
        if not pixels:
            return []
        try:
            return self._captioner.caption(np.stack(pixels), self._job.options)
        except Exception:
            if len(pixels) > 1:
                # One picture's bad luck is not to be everyone's.
                logger.warning("a batch of %d failed; one by one now", len(pixels), exc_info=True)
                return [self._infer([one])[0] for one in pixels]
            logger.exception("captioning failed")
            return [[]]

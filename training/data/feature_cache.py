"""What an image trunk that stands still makes of training pictures, kept on disk.

Where only the decoder learns, the trunk computes the same for a picture in every pass: most of the
time of such a run on a processor. Here each of `views` randomly changed versions of a picture is
encoded once; later passes show them in turn. float16, 125 KB a view of 7 x 7 cells and 1,280
channels. `training.data.records` says what a kill or a full disk does to it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.coco import CaptionedImage, DataError
from training.data.image_cache import fingerprint
from training.data.records import Records

logger = logging.getLogger(__name__)

Features = NDArray[np.float16]
"""One picture's trunk features `[S, C]`, the grid's cells row by row."""

_FORMAT = 1


class FeatureCache:
    """Features of pictures in several views. Safe to use from several processes.

    Args:
        folder: of all caches; this one's is made in it.
        images: the pictures, in a run's order.
        views: versions of each.
        shape: cells and channels of one.
        made_by: what decides the features but for the pictures themselves, as JSON: trunk, its
            weights, how pictures are changed. Another cache is made where any of it differs.

    Raises:
        DataError: the folder cannot be written or the features do not fit on the disk.
    """

    def __init__(
        self,
        folder: Path,
        images: Sequence[CaptionedImage],
        views: int,
        shape: tuple[int, int],
        made_by: Mapping[str, Any],
    ) -> None:
        self.views, self.shape = views, shape
        self._marks = [fingerprint(image.path) for image in images]
        paths = "\n".join(str(image.path) for image in images)
        manifest = {
            "format": _FORMAT,
            "pictures": len(images),
            "paths_sha256": hashlib.sha256(paths.encode()).hexdigest(),
            "shape": [views, "N", *shape],
            **made_by,
        }
        key = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:12]
        size = shape[0] * shape[1] * np.dtype(np.float16).itemsize
        count = views * len(images)
        what = f"the features of {len(images)} pictures in {views} views"
        self._records = Records(
            folder / f"features-{key}", "features.f16", count, size, manifest, what
        )
        self.folder = self._records.folder

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._marks)

    def missing(self, view: int) -> list[int]:
        """Return the pictures, by their places, whose features in a view are not there yet."""
        first, made_from = view * len(self), self._records.fingerprint
        return [place for place, mark in enumerate(self._marks) if made_from(first + place) != mark]

    def get(self, picture: int, view: int) -> Features:
        """Return a picture's features in a view, `float16 [S, C]`, not to be written to.

        Raises:
            DataError: they are not there, or the picture's file is another by now.
        """
        content = self._records.get(view * len(self) + picture, self._marks[picture])
        if content is None:
            raise DataError(f"{self.folder}: no features of picture {picture} in view {view}")
        return np.frombuffer(content, np.float16).reshape(self.shape)

    def put(self, picture: int, view: int, features: Features) -> None:
        """Keep features `[S, C]`; a disk that refuses is logged once, not raised."""
        content = np.ascontiguousarray(features, np.float16).tobytes()
        self._records.put(view * len(self) + picture, self._marks[picture], content)

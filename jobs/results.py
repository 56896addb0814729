"""What is written for a picture: one row, a caption or the reason why there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.api.device import Precision, PrecisionSetting
from models.api.options import CaptionOptions
from models.api.results import Caption

SCHEMA = pa.schema(
    [
        pa.field("image", pa.string(), nullable=False),
        pa.field("caption", pa.string()),
        pa.field("confidence", pa.float64()),
        pa.field(
            "alternatives",
            pa.list_(pa.struct([("caption", pa.string()), ("confidence", pa.float64())])),
        ),
        pa.field("model", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("reason", pa.string()),
    ]
)
"""`confidence` is the caption's, 0..1; `alternatives` are the second best and so on. `error` is a
kind of `serving.base.problems.KINDS` or `UNREADABLE`, `reason` says it in a sentence; a row has
either these or a caption. The command line's tables have the same columns."""

UNREADABLE = "unreadable"
"""The error of what could not even be read: no such file, no access, a damaged archive."""


class Job(BaseModel):
    """What the rows of one output have in common.

    Attributes:
        model: name of the model.
        version: its version, see `models.store`.
        precision: what it computes in; `auto` until that is chosen.
        options: how it captions.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    precision: PrecisionSetting
    options: CaptionOptions

    def __str__(self) -> str:
        asked = ", ".join(f"{name} {value}" for name, value in self.options.asked().items())
        return f"{self.model}:{self.version} in {self.precision}, {asked or 'default options'}"

    def computing_in(self, precision: Precision) -> Job:
        """Return the same job in another precision."""
        return self.model_copy(update={"precision": precision})

    def row(self, key: str, captions: Sequence[Caption]) -> dict[str, Any]:
        """Return the row of a captioned picture; captions are best first, at least one."""
        best, *others = captions
        return {
            "image": key,
            "caption": best.text,
            "confidence": best.confidence,
            "alternatives": [{"caption": it.text, "confidence": it.confidence} for it in others],
            "model": self.model,
            "version": self.version,
            "error": None,
            "reason": None,
        }

    def bad_row(self, key: str, error: str, reason: str) -> dict[str, Any]:
        """Return the row of a picture without a caption."""
        return {
            "image": key,
            "caption": None,
            "confidence": None,
            "alternatives": [],
            "model": self.model,
            "version": self.version,
            "error": error,
            "reason": reason,
        }


class KeySet:
    """The keys that an output holds: 16 bytes each, cheap to send to every machine.

    Args:
        keys: in any order.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        digests = b"".join(map(digest, keys))
        self.digests: NDArray[np.bytes_] = np.unique(np.frombuffer(digests, dtype="S16"))

    def __len__(self) -> int:
        return len(self.digests)

    def __contains__(self, key: str) -> bool:
        # numpy leaves out the zeros at the end of what it compares and returns.
        wanted = digest(key).rstrip(b"\0")
        place = int(np.searchsorted(self.digests, np.bytes_(wanted)))
        return place < len(self.digests) and bool(self.digests[place] == wanted)


def digest(key: str) -> bytes:
    """Return 16 bytes that stand for a key; no two keys are ever expected to share them."""
    return hashlib.blake2b(key.encode(), digest_size=16).digest()

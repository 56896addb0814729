"""What every matcher offers: pictures and texts in, how well they fit out. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.api.device import CPU, Device
from models.api.preprocessing import PreprocessSpec


class TextTooLongError(ValueError):
    """A text has more tokens than the matcher reads.

    Attributes:
        tokens: how many it has.
        limit: how many are read.
    """

    def __init__(self, tokens: int, limit: int) -> None:
        self.tokens, self.limit = tokens, limit
        super().__init__(f"at most {limit} tokens are read, the text has {tokens}")


class Matcher(ABC):
    """A loaded matching model. Not thread-safe: one thread at a time calls it.

    Attributes:
        preprocess: size and scale of the pictures it reads.
        max_tokens: longest text, in its own tokens, marks of beginning and end not counted.
    """

    method: ClassVar[str]
    """The method's name, as in `models.registry`."""

    preprocess: PreprocessSpec
    max_tokens: int

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, device: Device = CPU) -> Self:
        """Load a model directory (`save_pretrained` layout plus `captionbox.json`).

        Args:
            directory: the model's.
            device: where the network and its inputs live.

        Raises:
            models.api.metadata.BrokenModelError: files are missing, damaged or do not fit together.
        """

    @abstractmethod
    def check_text(self, text: str) -> None:
        """Raise `TextTooLongError` if `text` is longer than `max_tokens`."""

    @abstractmethod
    def score(self, pixels: NDArray[np.uint8], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """Score how well texts fit pictures. Work that hangs on the picture alone is done once.

        Args:
            pixels: `uint8 [B, 3, H, W]`, RGB, 0..255, at the size of `self.preprocess`. B >= 1.
            texts: B sequences, the texts for each picture; any number of them, none too.

        Returns:
            B lists, the score of each text: the model's probability, 0..1, that the text belongs
            to the picture. Scores of one picture need not sum to 1; they compare texts for one
            picture, and roughly pictures for one text.

        Raises:
            TextTooLongError: a text is too long.
            ValueError: `pixels` has another shape or dtype, or `texts` another length.
        """

    def check_batch(self, pixels: NDArray[np.uint8], texts: Sequence[Sequence[str]]) -> None:
        """Raise `ValueError` unless the arguments are what `score` takes."""
        shape = (len(texts), 3, self.preprocess.height, self.preprocess.width)
        if pixels.dtype != np.uint8 or pixels.shape != shape or not texts:
            raise ValueError(
                f"for {len(texts)} lists of texts, at least one, pixels must be uint8 "
                f"{list(shape)}, got {pixels.dtype} {list(pixels.shape)}"
            )

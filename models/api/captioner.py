"""What every captioning method offers. No torch here."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.api.device import CPU, Device, Precision
from models.api.options import CaptionOptions, DecodeDefaults, OptionName, check_honoured
from models.api.preprocessing import PreprocessSpec
from models.api.results import Caption

Stage = Literal["encode", "decode"]


@dataclass
class Work:
    """What a captioner has done.

    Attributes:
        seconds: time by stage, `encode` from pixels to features and `decode` from there to words.
            On a GPU, which works on its own, a stage may end before its work does.
    """

    seconds: dict[Stage, float] = field(default_factory=dict)


class Captioner(ABC):
    """A loaded captioning model. Not thread-safe: one thread at a time calls `caption`."""

    method: ClassVar[str]
    """The method's name, as in `models.registry`."""

    honours: frozenset[OptionName]
    """The options this model can honour, any other is refused. A class's are those of its method,
    which `models.registry` repeats for whoever has no torch; a model may have fewer."""

    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    """What this method can compute in; float32, the reference, always."""

    preprocess: PreprocessSpec
    defaults: DecodeDefaults

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, precision: Precision = "fp32", device: Device = CPU) -> Self:
        """Load a model directory (`save_pretrained` layout plus `captionbox.json`).

        Args:
            directory: the model's.
            precision: one of `precisions`.
            device: where the network and its inputs live.

        Raises:
            models.api.metadata.BrokenModelError: files are missing, damaged or do not fit together.
        """

    @classmethod
    def narrowest(cls, directory: Path) -> Precision:
        """Return the format that a model directory loads in with the least memory.

        Raises:
            models.api.metadata.BrokenModelError: files are missing or damaged.
        """
        del directory
        return "fp32"

    @abstractmethod
    def caption(
        self, pixels: NDArray[np.uint8], options: CaptionOptions | Sequence[CaptionOptions]
    ) -> list[list[Caption]]:
        """Caption a batch.

        Args:
            pixels: `uint8 [B, 3, H, W]`, RGB, 0..255, at the size of `self.preprocess`. B >= 1.
            options: hold for the whole batch; or one for each picture, which differ in `seed` and
                `prompt` only.

        Returns:
            B lists of captions, best first. What a picture gets does not depend on the others.

        Raises:
            UnsupportedOptionError: `options` asks for what the method cannot do.
            ValueError: `pixels` has another shape or dtype, or `options` differ in other fields.
        """

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage of a `caption` call, for `take_work`; less the stages within it."""
        seconds = self._work.seconds
        started, before = time.perf_counter(), sum(seconds.values())
        try:
            yield
        finally:
            within = sum(seconds.values()) - before
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started - within

    def take_work(self) -> Work:
        """Return what was done since the last call. A method that tells nothing has none."""
        work = self._work
        del self._work
        return work

    @cached_property
    def _work(self) -> Work:
        return Work()

    def options_of_each(
        self, pixels: NDArray[np.uint8], options: CaptionOptions | Sequence[CaptionOptions]
    ) -> list[CaptionOptions]:
        """Check what `caption` is called with; return the options of every picture."""
        self.check_pixels(pixels)
        one = isinstance(options, CaptionOptions)
        each = [options] * len(pixels) if isinstance(options, CaptionOptions) else list(options)
        if not one and (
            len(each) != len(pixels) or len({options.shared() for options in each}) > 1
        ):
            raise ValueError("options: one for each picture, differing in seed and prompt only")
        for different in dict.fromkeys(each):
            self.check_options(different)
        return each

    def check_options(self, options: CaptionOptions) -> None:
        """Raise `UnsupportedOptionError` for the first option given that is not in `honours`."""
        check_honoured(options, self.method, self.honours)

    def check_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Raise `ValueError` unless `pixels` is `uint8 [B, 3, H, W]` at the model's input size."""
        spec = self.preprocess
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(pixels) == 0:
            raise ValueError(
                f"pixels must be uint8 [B, 3, H, W], got {pixels.dtype} {pixels.shape}"
            )
        if pixels.shape[1:] != (3, spec.height, spec.width):
            raise ValueError(
                f"pixels must be [B, 3, {spec.height}, {spec.width}], got {list(pixels.shape)}"
            )

"""`image-text-to-text`: the captioners of transformers, each by its own conventions.

What differs between BLIP, GIT, Florence-2, SmolVLM and the rest is in `families/`; here is
what they share: loading, options, the search, scores and wording.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.api import metadata as metadata_module
from models.api.captioner import Captioner
from models.api.device import CPU, Device, Precision
from models.api.metadata import ModelMetadata
from models.api.options import DECODING_OPTIONS, LONGEST_CAPTION, CaptionOptions
from models.api.preprocessing import normalisation
from models.api.results import Caption
from models.captioners.vlm.checkpoint import open_family, stored_precision
from models.captioners.vlm.family import METHOD, Family
from models.captioners.vlm.step import NetworkState
from models.decoding.candidates import as_caption, find_captions, search_settings
from models.decoding.phrasing import sentence
from models.decoding.protocol import Hypothesis, SearchSettings
from models.runtimes.torch.search import TorchState, TorchStep

_ROWS_AT_ONCE = 48
"""Beams or samples decoded together. Each holds a copy of its picture's keys and values: 40 MB of
them in BLIP-base."""


class ImageTextToTextCaptioner(Captioner):
    """A transformers captioner.

    Args:
        family: the network, its tokenizer and their conventions.
        metadata: preprocess spec, decode defaults and honoured options.
    """

    method = METHOD
    honours = DECODING_OPTIONS | {"prompt"}
    precisions = ("fp32", "bf16")

    def __init__(self, family: Family, metadata: ModelMetadata) -> None:
        self.family = family
        self.preprocess = metadata.preprocess
        self.defaults = metadata.decode
        self.honours = metadata.honoured(self.honours)
        scale, offset = normalisation(metadata.preprocess)
        device = family.network.device
        self._scale = torch.from_numpy(scale)[:, None, None].to(device)  # [3, 1, 1]
        self._offset = torch.from_numpy(offset)[:, None, None].to(device)

    @classmethod
    def load(cls, directory: Path, precision: Precision = "fp32", device: Device = CPU) -> Self:
        """Load a model directory; see `Captioner.load`."""
        metadata = metadata_module.read(directory)
        family = open_family(directory, precision)
        family.network.to(device.name)
        metadata.check_vocabulary(family.vocabulary_hash())
        return cls(family, metadata)

    @classmethod
    def narrowest(cls, directory: Path) -> Precision:
        """Return the format of the weights on disk; see `Captioner.narrowest`."""
        return stored_precision(directory)

    def caption(
        self, pixels: NDArray[np.uint8], options: CaptionOptions | Sequence[CaptionOptions]
    ) -> list[list[Caption]]:
        """Caption a batch; see `Captioner.caption`."""
        each = self.options_of_each(pixels, options)
        with torch.inference_mode(), self.stage("decode"):
            hypotheses = self._decode(pixels, each)
        end = self.family.end_ids[0]
        return [
            [as_caption(self._text(hypothesis, own), hypothesis, end) for hypothesis in group]
            for group, own in zip(hypotheses, each, strict=True)
        ]

    def settings(self, options: CaptionOptions) -> SearchSettings:
        """Return the decode settings of `options`; see `search_settings`."""
        # `NetworkStep` begins with the whole prompt in place of a start token.
        return search_settings(options, self.defaults, 0, self.family.end_ids[0], LONGEST_CAPTION)

    def prompt(self, options: CaptionOptions) -> str | None:
        """Return the prompt to use: the user's, else the model's own, if it has one."""
        return options.prompt or self.defaults.prompt

    def pixel_values(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return normalised pixels, `[B, 3, H, W]` in the network's dtype."""
        values = torch.from_numpy(pixels).to(self._scale.device) * self._scale + self._offset
        return values.to(self.family.network.dtype)

    def _decode(
        self, pixels: NDArray[np.uint8], each: Sequence[CaptionOptions]
    ) -> list[list[Hypothesis]]:
        """Return the different captions wanted of each picture."""
        found: dict[int, list[Hypothesis]] = {}
        for pictures in self._together(each):
            own = [each[index] for index in pictures]
            found.update(zip(pictures, self._decode_together(pixels[pictures], own), strict=True))
        return [found[index] for index in range(len(each))]

    def _together(self, each: Sequence[CaptionOptions]) -> list[list[int]]:
        """Return which pictures can be decoded together: all, or those of equal prompts."""
        if self.family.mixes_prompts:
            return [list(range(len(each)))]
        groups: dict[str | None, list[int]] = {}
        for index, options in enumerate(each):
            groups.setdefault(self.prompt(options), []).append(index)
        return list(groups.values())

    def _decode_together(
        self, pixels: NDArray[np.uint8], each: Sequence[CaptionOptions]
    ) -> list[list[Hypothesis]]:
        prompts = [self.prompt(options) for options in each]
        device = self.family.network.device

        def begin(pictures: Sequence[int]) -> TorchState:
            with self.stage("encode"):
                values = self.pixel_values(pixels[list(pictures)])
                prefill = self.family.prefill(values, [prompts[index] for index in pictures])
                state = NetworkState.start(prefill, len(pictures))
            return TorchState(state, device)

        # Whether two captions differ is asked of one picture's at a time: their prompt is the same.
        return find_captions(
            TorchStep(self.family.step),
            begin,
            options=each,
            settings=self.settings(each[0]),
            wanted=each[0].num_captions or self.defaults.num_captions,
            text=lambda hypothesis: self._text(hypothesis, each[0]),
            rows_at_once=_ROWS_AT_ONCE,
        )

    def _text(self, hypothesis: Hypothesis, options: CaptionOptions) -> str:
        """Return what a caption says, as a sentence."""
        tokens = hypothesis.tokens
        ended = bool(tokens) and tokens[-1] == self.family.end_ids[0]
        return sentence(self.family.text(self.prompt(options), tokens), complete=ended)

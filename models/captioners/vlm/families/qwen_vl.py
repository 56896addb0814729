"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: patches of any picture size, positions in three dimensions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.families.chat import Chat
from models.captioners.vlm.family import CLIP_MEAN, CLIP_STD
from models.checkpoints.preprocessor_config import read_spec

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for line in "
    "message['content'] %}{% if line['type'] == 'image' %}<|vision_start|><|image_pad|>"
    "<|vision_end|>{% else %}{{ line['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SIDE = 448
"""Input size: 256 tokens a picture, enough for a caption; the networks would take more."""


class QwenVl(Chat):
    """`Qwen2VLForConditionalGeneration` and its two successors."""

    template = _TEMPLATE

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return a fixed size that fits the patches; see `Family.default_spec`."""
        side = _whole(_SIDE, config)
        return PreprocessSpec(height=side, width=side, mean=CLIP_MEAN, std=CLIP_STD)

    def spec(self, settings: dict[str, Any]) -> PreprocessSpec:
        """Return the fixed size, or less where the processor allows less; see `Family.spec`."""
        size = settings.get("size") or {}
        most = settings.get("max_pixels") or size.get("longest_edge") or _SIDE**2
        side = _whole(min(_SIDE, math.isqrt(int(most))), self.config)
        default = self.default_spec(self.config).model_copy(update={"height": side, "width": side})
        return read_spec({**settings, "size": None}, default)

    def notes(self, settings: dict[str, Any]) -> list[str]:
        """Say that pictures have a fixed size; see `Family.notes`."""
        side = self.spec(settings).height
        return [f"Pictures are shown at {side} x {side}, whatever their shape and size."]

    @property
    def decoder(self) -> Any:
        """The network, and care for the positions that it remembers."""

        def run(**inputs: Any) -> Any:
            output = self.network(**inputs)
            # How far text positions lag behind, a row a picture. All pictures have the same size,
            # so one row is enough, whichever pictures are left.
            self.network.model.rope_deltas = self.network.model.rope_deltas[:1]
            return output

        return run

    @property
    def image_token(self) -> str:
        """The template's placeholder."""
        return "<|image_pad|>"

    def image_text(self, pixel_values: Tensor) -> str:
        """Return a token for every square of merged patches."""
        rows, columns = self._grid(pixel_values)
        merged = self.config.vision_config.spatial_merge_size**2
        return self.image_token * (rows * columns // merged)

    def image_inputs(self, pixel_values: Tensor) -> dict[str, Any]:
        """Cut pictures into flat patches, those that will be merged side by side.

        Returns:
            `pixel_values` `[B * rows * columns, 3 * frames * patch * patch]` and the grid of each
            picture.
        """
        vision = self.config.vision_config
        patch, merge, frames = (
            vision.patch_size,
            vision.spatial_merge_size,
            vision.temporal_patch_size,
        )
        batch = len(pixel_values)
        rows, columns = self._grid(pixel_values)
        cut = pixel_values.view(
            batch, 3, rows // merge, merge, patch, columns // merge, merge, patch
        ).permute(0, 2, 5, 3, 6, 1, 4, 7)  # [B, rows/m, columns/m, m, m, 3, patch, patch]
        cut = cut.reshape(batch * rows * columns, 3, 1, patch, patch)
        # A still is a film of equal frames.
        flat = cut.expand(-1, -1, frames, -1, -1).reshape(batch * rows * columns, -1)
        grid = torch.tensor([[1, rows, columns]] * batch, device=pixel_values.device)
        return {"pixel_values": flat, "image_grid_thw": grid}

    def token_inputs(self, ids: Tensor) -> dict[str, Any]:
        """Mark the picture's tokens."""
        return {"mm_token_type_ids": (ids == self.config.image_token_id).int()}

    def _grid(self, pixel_values: Tensor) -> tuple[int, int]:
        patch = self.config.vision_config.patch_size
        return pixel_values.shape[-2] // patch, pixel_values.shape[-1] // patch


def _whole(side: int, config: Any) -> int:
    """Return the largest multiple of a merged patch's side within `side`."""
    unit = config.vision_config.patch_size * config.vision_config.spatial_merge_size
    return int(side // unit * unit)

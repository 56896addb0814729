"""GIT (Wang et al. 2022): one transformer reads ViT features, then the words it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.api.options import LONGEST_CAPTION, DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.family import CLIP_MEAN, CLIP_STD, Family, repeat_ids
from models.captioners.vlm.step import Prefill


class Git(Family):
    """`GitForCausalLM`: `[CLS] prompt caption [SEP]` after the picture, which has no ids."""

    decode = DecodeDefaults(num_beams=3, max_length=24)

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return CLIP's own defaults; see `Family.default_spec`."""
        side = config.vision_config.image_size
        return PreprocessSpec(height=side, width=side, fit="crop", mean=CLIP_MEAN, std=CLIP_STD)

    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Return pictures and prompt; see `Family.prefill`."""
        prompt = prompts[0]
        room = self.config.max_position_embeddings - 1 - LONGEST_CAPTION
        ids = [self.tokenizer.cls_token_id, *(self.prompt_ids(prompt, room) if prompt else ())]
        inputs = {"input_ids": repeat_ids(ids, pixel_values), "pixel_values": pixel_values}
        return Prefill(inputs, {}, len(ids))

    def next_inputs(self, tokens: Tensor, position: int) -> dict[str, Any]:
        """Add the position among the words: the cache, which the network counts, holds pictures."""
        return {"input_ids": tokens, "position_ids": torch.full_like(tokens, position)}

    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return prompt and continuation."""
        return self.continued(prompt, tokens)

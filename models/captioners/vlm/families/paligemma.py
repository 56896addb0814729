"""PaliGemma (Beyer et al. 2024): SigLIP features before Gemma, which takes short requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.api.options import LONGEST_CAPTION, DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.family import Family, repeat_ids
from models.captioners.vlm.step import Prefill


class PaliGemma(Family):
    """`PaliGemmaForConditionalGeneration`: picture, `<bos>request`, line end, caption."""

    decode = DecodeDefaults(num_beams=1, max_length=48, prompt="caption en")

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return SigLIP's preprocessing; see `Family.default_spec`."""
        side = config.vision_config.image_size
        return PreprocessSpec(height=side, width=side)

    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Return pictures and request; see `Family.prefill`."""
        prompt = prompts[0]
        vision = self.config.vision_config
        patches = (pixel_values.shape[-1] // vision.patch_size) ** 2
        longest = self.config.get_text_config().max_position_embeddings
        room = longest - patches - 2 - LONGEST_CAPTION
        request = f"{prompt or self.decode.prompt}\n"
        ids = [
            *[self.config.image_token_id] * patches,
            self.tokenizer.bos_token_id,
            *self.prompt_ids(request, room),
        ]
        repeated = repeat_ids(ids, pixel_values)
        inputs = {
            "input_ids": repeated,
            "pixel_values": pixel_values,
            # Picture and request see one another in both directions.
            "token_type_ids": torch.zeros_like(repeated),
        }
        return Prefill(inputs, {}, len(ids))

    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return the answer."""
        del prompt
        return self.decoded(tokens)

"""BLIP (Li et al. 2022): a text decoder that cross-attends to ViT features, prompts continued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.api.options import LONGEST_CAPTION, DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.family import CLIP_MEAN, CLIP_STD, Family, padded_ids
from models.captioners.vlm.step import Prefill


class Blip(Family):
    """`BlipForConditionalGeneration`: `[DEC] prompt caption [SEP]`."""

    decode = DecodeDefaults(num_beams=3, max_length=24)
    mixes_prompts = True

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return the image processor's own defaults; see `Family.default_spec`."""
        side = config.vision_config.image_size
        return PreprocessSpec(height=side, width=side, mean=CLIP_MEAN, std=CLIP_STD)

    @property
    def decoder(self) -> Any:
        """The text half; the picture is encoded once."""
        return self.network.text_decoder

    @property
    def end_ids(self) -> tuple[int, ...]:
        """BLIP ends with BERT's separator, whatever its configuration calls the end."""
        return (self.config.text_config.sep_token_id,)

    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Encode the pictures; see `Family.prefill`."""
        text = self.config.text_config
        room = text.max_position_embeddings - 1 - LONGEST_CAPTION
        rows = [
            [text.bos_token_id, *(self.prompt_ids(prompt, room) if prompt else ())]
            for prompt in prompts
        ]
        ids, padding = padded_ids(rows, pixel_values)
        features = self.network.vision_model(pixel_values=pixel_values).last_hidden_state
        looked = {
            "encoder_hidden_states": features,  # [B, S, D]
            "encoder_attention_mask": features.new_ones(features.shape[:2], dtype=torch.int64),
        }
        return Prefill({"input_ids": ids, **looked}, looked, ids.shape[1], padding)

    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return prompt and continuation."""
        return self.continued(prompt, tokens)

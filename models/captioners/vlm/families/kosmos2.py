"""Kosmos-2 (Peng et al. 2023): 64 picture tokens, then a text that goes on from "An image of"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from models.api.options import LONGEST_CAPTION, DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.family import CLIP_MEAN, CLIP_STD, Family, repeat_ids
from models.captioners.vlm.step import Prefill

# Where things are, which a caption does not say.
_MARKER = re.compile(r"</?[a-z_]+(?:_\d+)?/?>")


class Kosmos2(Family):
    """`Kosmos2ForConditionalGeneration`: `<s><image>...</image>prompt caption</s>`."""

    decode = DecodeDefaults(num_beams=3, max_length=24, prompt="An image of")

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return CLIP's preprocessing; see `Family.default_spec`."""
        side = config.vision_config.image_size
        return PreprocessSpec(height=side, width=side, fit="crop", mean=CLIP_MEAN, std=CLIP_STD)

    @property
    def decoder(self) -> Any:
        """The text half; the picture is encoded once."""
        return self.network.text_model

    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Encode the pictures; see `Family.prefill`."""
        prompt = prompts[0]
        count, text = self.config.latent_query_num, self.config.text_config
        room = text.max_position_embeddings - count - 3 - LONGEST_CAPTION
        tokenizer = self.tokenizer
        first = tokenizer.unk_token_id + 1
        ids = [
            tokenizer.bos_token_id,
            tokenizer.convert_tokens_to_ids("<image>"),
            *range(first, first + count),
            tokenizer.convert_tokens_to_ids("</image>"),
            # The processor puts a blank between picture and text.
            *self.prompt_ids(f" {prompt or self.decode.prompt}", room),
        ]
        repeated = repeat_ids(ids, pixel_values)
        mask = repeated.new_zeros(repeated.shape)
        mask[:, 2 : 2 + count] = 1
        inputs = {
            "input_ids": repeated,
            "image_embeds": self._features(pixel_values),
            "image_embeds_position_mask": mask,
        }
        return Prefill(inputs, {}, len(ids))

    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return prompt and continuation, without markers."""
        return _MARKER.sub("", self.continued(prompt, tokens))

    def _features(self, pixel_values: Tensor) -> Tensor:
        """Return what stands for the pictures, `[B, latent_query_num, D]`."""
        vision = self.network.vision_model
        hidden = vision(pixel_values=pixel_values).last_hidden_state
        hidden = F.normalize(vision.model.post_layernorm(hidden), dim=-1)
        features: Tensor = self.network.image_to_text_projection(hidden)[0]
        return features

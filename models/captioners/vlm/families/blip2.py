"""BLIP-2 (Li et al. 2023): 32 queries look at ViT features and stand before OPT's text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from models.api.metadata import BrokenModelError
from models.api.options import LONGEST_CAPTION, DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.family import CLIP_MEAN, CLIP_STD, Family
from models.captioners.vlm.step import Prefill


class Blip2(Family):
    """`Blip2ForConditionalGeneration` with a decoder-only language model: OPT, not T5.

    Raises:
        BrokenModelError: the language model has an encoder.
    """

    decode = DecodeDefaults(num_beams=3, max_length=24)

    def __init__(self, network: PreTrainedModel, tokenizer: Any) -> None:
        super().__init__(network, tokenizer)
        if not self.config.use_decoder_only_language_model:
            kind = self.config.text_config.model_type
            raise BrokenModelError(f"BLIP-2 with {kind} is not supported; with OPT it is")

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return the image processor's own defaults; see `Family.default_spec`."""
        side = config.vision_config.image_size
        return PreprocessSpec(height=side, width=side, mean=CLIP_MEAN, std=CLIP_STD)

    @property
    def decoder(self) -> Any:
        """The language model; the picture is encoded once."""
        return self.network.language_model

    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Encode the pictures; see `Family.prefill`."""
        prompt = prompts[0]
        features = self.network.get_image_features(pixel_values).pooler_output  # [B, Q, D]
        text = self.config.text_config
        room = text.max_position_embeddings - features.shape[1] - 1 - LONGEST_CAPTION
        ids = [text.bos_token_id, *(self.prompt_ids(prompt, room) if prompt else ())]
        row = torch.tensor([ids], device=features.device)
        words = self.network.get_input_embeddings()(row)  # [1, T, D]
        both = torch.cat((features.to(words.dtype), words.expand(len(features), -1, -1)), 1)
        return Prefill({"inputs_embeds": both}, {}, both.shape[1])

    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return prompt and continuation."""
        return self.continued(prompt, tokens)

"""Florence-2 (Xiao et al. 2024): encoder-decoder that is asked for a task in words of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from models.api.options import DecodeDefaults, UnsupportedValueError
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.family import METHOD, Family, repeat_ids
from models.captioners.vlm.step import Prefill

TASKS = {
    "<CAPTION>": "What does the image describe?",
    "<DETAILED_CAPTION>": "Describe in detail what is shown in the image.",
    "<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
}
"""The tasks that give a caption, and the questions that the model learnt for them."""

_TASK = re.compile(r"<[A-Z_]+>")
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Florence2(Family):
    """`Florence2ForConditionalGeneration`: picture and `<s>question</s>` in, caption out."""

    decode = DecodeDefaults(num_beams=3, max_length=24, no_repeat_ngram=3, prompt="<CAPTION>")
    ids_name = "decoder_input_ids"

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return what all published checkpoints use; see `Family.default_spec`."""
        del config
        return PreprocessSpec(height=768, width=768, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)

    @property
    def decoder(self) -> Any:
        """The text decoder, fed with what the encoder made of picture and question."""

        def decode(encoder_hidden_states: Tensor, **inputs: Any) -> Any:
            encoded = BaseModelOutput(last_hidden_state=encoder_hidden_states)
            return self.network(encoder_outputs=encoded, **inputs)

        return decode

    def prefill(self, pixel_values: Tensor, prompt: str | None) -> Prefill:
        """Encode pictures and question; see `Family.prefill`."""
        features = self.network.get_image_features(pixel_values).pooler_output  # [B, S, D]
        text = self.config.text_config
        room = text.max_position_embeddings - features.shape[1] - 2
        question = [
            self.tokenizer.bos_token_id,
            *self.prompt_ids(self._question(prompt or "<CAPTION>"), room),
            self.tokenizer.eos_token_id,
        ]
        embed = self.network.get_input_embeddings()
        words = embed(torch.tensor([question], device=features.device))  # [1, T, D]
        both = torch.cat((features.to(words.dtype), words.expand(len(features), -1, -1)), 1)
        encoded = self.network.get_encoder()(inputs_embeds=both).last_hidden_state
        looked = {"encoder_hidden_states": encoded}
        start = self._start()
        inputs = {self.ids_name: repeat_ids(start, features), **looked}
        return Prefill(inputs, looked, len(start))

    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return the answer."""
        del prompt
        return self.decoded(tokens)

    def _start(self) -> list[int]:
        """Return what every caption begins with: BART's start token, then the forced one."""
        generation = self.network.generation_config
        forced = generation.forced_bos_token_id
        if forced is None:
            forced = getattr(self.config.text_config, "forced_bos_token_id", None)
        start = self.config.text_config.decoder_start_token_id
        return [start] if forced is None else [start, forced]

    def _question(self, prompt: str) -> str:
        """Return the question of a task, or the prompt itself where it is in words."""
        prompt = prompt.strip()
        found = _TASK.search(prompt)
        if found is None:
            return prompt
        if prompt not in TASKS:
            raise UnsupportedValueError(
                "prompt",
                METHOD,
                f"{found.group()} is no task that gives a caption; give one of "
                f"{', '.join(TASKS)} by itself, or ask in words",
            )
        return TASKS[prompt]

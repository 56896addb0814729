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
    mixes_prompts = True

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return what all published checkpoints use; see `Family.default_spec`."""
        del config
        return PreprocessSpec(height=768, width=768, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)

    @property
    def decoder(self) -> Any:
        """The text decoder, fed with what the encoder made of picture and question."""

        def decode(
            encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, **inputs: Any
        ) -> Any:
            encoded = BaseModelOutput(last_hidden_state=encoder_hidden_states)
            return self.network(
                encoder_outputs=encoded, attention_mask=encoder_attention_mask, **inputs
            )

        return decode

    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Encode pictures and questions; see `Family.prefill`."""
        features = self.network.get_image_features(pixel_values).pooler_output  # [B, S, D]
        text = self.config.text_config
        room = text.max_position_embeddings - features.shape[1] - 2
        start, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        questions = [
            [start, *self.prompt_ids(self._question(prompt or "<CAPTION>"), room), end]
            for prompt in prompts
        ]
        longest = max(map(len, questions))
        # An encoder counts its positions from the left: shorter questions are padded behind.
        rows = [row + [end] * (longest - len(row)) for row in questions]
        words = self.network.get_input_embeddings()(
            torch.tensor(rows, device=features.device)
        )  # [B, T, D]
        both = torch.cat((features.to(words.dtype), words), 1)
        seen = [[1] * (features.shape[1] + len(row)) for row in questions]
        mask = torch.tensor([row + [0] * (both.shape[1] - len(row)) for row in seen])
        mask = mask.to(features.device)  # [B, S + T]
        encoder = self.network.get_encoder()
        encoded = encoder(inputs_embeds=both, attention_mask=mask).last_hidden_state
        looked = {"encoder_hidden_states": encoded, "encoder_attention_mask": mask}
        first = self._start()
        inputs = {self.ids_name: repeat_ids(first, features), **looked}
        return Prefill(inputs, looked, len(first))

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

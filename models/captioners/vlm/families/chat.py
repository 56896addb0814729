"""What chat models share: a template around picture and request, the answer is the caption."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from models.api.options import LONGEST_CAPTION, DecodeDefaults, UnsupportedValueError
from models.captioners.vlm.family import METHOD, Family, padded_ids
from models.captioners.vlm.step import Prefill

REQUEST = "Describe this image in one short sentence."


class Chat(Family):
    """A decoder that reads a rendered chat with the picture's tokens in it."""

    decode = DecodeDefaults(num_beams=1, max_length=48, prompt=REQUEST)

    template: ClassVar[str | None] = None
    """Chat template of checkpoints that bring none."""

    @property
    @abstractmethod
    def image_token(self) -> str:
        """What the template writes where the picture goes."""

    @abstractmethod
    def image_text(self, pixel_values: Tensor) -> str:
        """Return the tokens that stand for one picture, as text."""

    def image_inputs(self, pixel_values: Tensor) -> dict[str, Any]:
        """Return the network's arguments for the pictures `[B, 3, H, W]`."""
        return {"pixel_values": pixel_values}

    def token_inputs(self, ids: Tensor) -> dict[str, Any]:
        """Return further arguments of the first pass, made from the ids `[B, T]`."""
        del ids
        return {}

    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Render the chats; see `Family.prefill`."""
        image = self.image_text(pixel_values)
        rows = {prompt: self._row(prompt or REQUEST, image) for prompt in dict.fromkeys(prompts)}
        ids, padding = padded_ids([rows[prompt] for prompt in prompts], pixel_values)
        inputs = {"input_ids": ids, **self.token_inputs(ids), **self.image_inputs(pixel_values)}
        return Prefill(inputs, {}, ids.shape[1], padding)

    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return the answer."""
        del prompt
        return self.decoded(tokens)

    def _row(self, prompt: str, image: str) -> list[int]:
        """Return the ids of a chat, if there is room for them."""
        self.check_prompt(prompt)
        ids = self._chat_ids(prompt, image)
        longest = self.config.get_text_config().max_position_embeddings
        room = longest - LONGEST_CAPTION
        if len(ids) > room:
            raise UnsupportedValueError(
                "prompt",
                METHOD,
                f"picture and prompt make {len(ids)} tokens, and this model has room for {room}",
            )
        return ids

    def _chat_ids(self, prompt: str, image: str) -> list[int]:
        message = {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": prompt}],
        }
        chat: str = self.tokenizer.apply_chat_template(
            [message],
            chat_template=self.tokenizer.chat_template or self.template,
            add_generation_prompt=True,
            tokenize=False,
        )
        start = self.tokenizer.bos_token
        # As transformers' processors do: templates that write the start token need no second one.
        alone = start is not None and chat.startswith(start)
        chat = chat.replace(self.image_token, image, 1)
        ids: list[int] = self.tokenizer(chat, add_special_tokens=not alone)["input_ids"]
        return ids

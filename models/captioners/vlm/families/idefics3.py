"""Idefics3 (Laurençon et al. 2024) and SmolVLM: SigLIP features, shuffled, read by a Llama."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.families.chat import Chat
from models.checkpoints.preprocessor_config import read_spec

# The library's own, for checkpoints without one.
_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_FRAME = "<fake_token_around_image>"


class Idefics3(Chat):
    """`Idefics3ForConditionalGeneration` and `SmolVLMForConditionalGeneration`.

    The picture is shown whole, at the encoder's size, as the processor does without
    `do_image_splitting`: with splitting, a picture costs up to 17 times as much.
    """

    template = _TEMPLATE
    mixes_prompts = True

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return the encoder's size; see `Family.default_spec`."""
        side = config.vision_config.image_size
        return PreprocessSpec(height=side, width=side, resample="lanczos")

    def spec(self, settings: dict[str, Any]) -> PreprocessSpec:
        """Return how the whole picture is shown; see `Family.spec`."""
        # `size` is that of the picture before it is split.
        return read_spec({**settings, "size": None}, self.default_spec(self.config))

    def notes(self, settings: dict[str, Any]) -> list[str]:
        """Say that pictures are not split; see `Family.notes`."""
        if not settings.get("do_image_splitting", True):
            return []
        return ["Pictures are shown whole and not in tiles too: faster, but small print is lost."]

    @property
    def image_token(self) -> str:
        """The template's placeholder."""
        return "<image>"

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Add the end of an utterance, where the configuration does not name it."""
        utterance = self.tokenizer.convert_tokens_to_ids("<end_of_utterance>")
        ends = super().end_ids
        return ends if utterance in (None, *ends) else (*ends, utterance)

    def image_text(self, pixel_values: Tensor) -> str:
        """Return the tokens of a whole picture."""
        vision = self.config.vision_config
        side = pixel_values.shape[-1] // vision.patch_size // self.config.scale_factor
        return f"{_FRAME}<global-img>{self.image_token * side**2}{_FRAME}"

    def image_inputs(self, pixel_values: Tensor) -> dict[str, Any]:
        """Return pictures of one tile each, `[B, 1, 3, H, W]`."""
        return {"pixel_values": pixel_values[:, None]}

"""LLaVA (Liu et al. 2023): CLIP features through two linear layers into a chat model."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.families.chat import Chat
from models.captioners.vlm.family import CLIP_MEAN, CLIP_STD

_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: {% for line in message['content'] "
    "%}{% if line['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ line['text'] }}{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


class Llava(Chat):
    """`LlavaForConditionalGeneration`, 1.5 and whatever else has its layout."""

    template = _TEMPLATE
    mixes_prompts = True

    @classmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return CLIP's preprocessing; see `Family.default_spec`."""
        side = config.vision_config.image_size
        return PreprocessSpec(height=side, width=side, fit="crop", mean=CLIP_MEAN, std=CLIP_STD)

    @property
    def image_token(self) -> str:
        """The template's placeholder."""
        return str(self.tokenizer.convert_ids_to_tokens(self.config.image_token_id))

    def image_text(self, pixel_values: Tensor) -> str:
        """Return a token a patch; a class token counts as one where it is not left out."""
        vision = self.config.vision_config
        height, width = pixel_values.shape[-2:]
        count = (height // vision.patch_size) * (width // vision.patch_size)
        count += vision.model_type == "clip_vision_model"
        count -= self.config.vision_feature_select_strategy == "default"
        return self.image_token * count

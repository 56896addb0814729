"""ViT-GPT2 as a BentoML service after the framework's own BLIP example: no batching.

CHECKPOINT=DIR THREADS=4 bentoml serve benchmarks.peers.bentoml_service:Captioning
"""

from __future__ import annotations

import os

import bentoml
from PIL.Image import Image


@bentoml.service(traffic={"timeout": 600}, workers=1)
class Captioning:
    """Captions one picture a call."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoTokenizer, VisionEncoderDecoderModel, ViTImageProcessor

        checkpoint = os.environ["CHECKPOINT"]
        torch.set_num_threads(int(os.environ["THREADS"]))
        self.model = VisionEncoderDecoderModel.from_pretrained(checkpoint).eval()
        self.processor = ViTImageProcessor.from_pretrained(checkpoint)
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    @bentoml.api(route="/caption")
    def caption(self, image: Image) -> str:
        """Caption one picture."""
        pixels = self.processor(images=image.convert("RGB"), return_tensors="pt").pixel_values
        tokens = self.model.generate(pixels, max_new_tokens=16, num_beams=4)
        return self.tokenizer.decode(tokens[0], skip_special_tokens=True).strip()

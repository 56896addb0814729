"""FastAPI around transformers, as tutorials write it: the server most people begin with.

CHECKPOINT=DIR THREADS=4 uvicorn benchmarks.peers.fastapi_server:app

The handler is `async` and computes in it, one picture after the other. Handlers in threads would
share the cores among several `generate()` calls at once, and be slower.
"""

from __future__ import annotations

import io
import os
from typing import Annotated

import torch
from fastapi import FastAPI, UploadFile
from PIL import Image
from transformers import AutoTokenizer, VisionEncoderDecoderModel, ViTImageProcessor

checkpoint = os.environ["CHECKPOINT"]
torch.set_num_threads(int(os.environ["THREADS"]))
model = VisionEncoderDecoderModel.from_pretrained(checkpoint).eval()
processor = ViTImageProcessor.from_pretrained(checkpoint)
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
app = FastAPI()


@app.get("/readyz")
async def ready() -> dict[str, str]:
    """Answer as soon as the model is loaded."""
    return {"status": "ready"}


@app.post("/caption")
async def caption(image: Annotated[UploadFile, "a picture"]) -> dict[str, str]:
    """Caption one picture."""
    picture = Image.open(io.BytesIO(await image.read())).convert("RGB")
    pixels = processor(images=picture, return_tensors="pt").pixel_values
    with torch.inference_mode():
        # nlpconnect's model card: max_length 16, 4 beams; the start token counts.
        tokens = model.generate(pixels, max_new_tokens=16, num_beams=4)
    return {"caption": tokenizer.decode(tokens[0], skip_special_tokens=True).strip()}

"""Pictures that tests draw, and a tiny captioner that knows exactly these."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 170, 60),
    "blue": (40, 60, 220),
    "gold": (240, 200, 40),
}
SHAPES = ("square", "ring", "bar", "cross")
NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
"""Sixteen pictures, each with a caption of its own."""

SIDE = 32


def draw(name: str, size: int = 96) -> Image.Image:
    """Return the picture of a name, such as `"red ring"`."""
    colour_name, shape = name.split()
    colour = COLOURS[colour_name]
    image = Image.new("RGB", (size, size), (235, 235, 235))
    pen = ImageDraw.Draw(image)
    low, high = size // 6, size - size // 6
    if shape == "square":
        pen.rectangle((low, low, high, high), fill=colour)
    elif shape == "ring":
        pen.ellipse((low, low, high, high), outline=colour, width=size // 6)
    elif shape == "bar":
        pen.rectangle((0, size * 3 // 8, size, size * 5 // 8), fill=colour)
    else:
        pen.line((low, low, high, high), fill=colour, width=size // 8)
        pen.line((low, high, high, low), fill=colour, width=size // 8)
    return image


def encode(image: Image.Image, fmt: str = "PNG", **options: Any) -> bytes:
    """Return the picture as a file's content."""
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def caption_of(name: str) -> str:
    """Return what the tiny captioner says about the picture of a name."""
    return f"A {name} on paper."


def make_tiny_model(directory: Path) -> None:
    """Train the tiny captioner on the sixteen pictures (seconds) and save it as a `compact`."""
    # Imported here: the tests that need no model stay quick.
    import numpy as np
    import torch

    from models.api import metadata
    from models.api.options import DecodeDefaults
    from models.api.preprocessing import PreprocessSpec
    from models.captioners.cnn_transformer.config import CnnTransformerConfig
    from models.captioners.cnn_transformer.network import CnnTransformer
    from models.captioners.cnn_transformer.tokenizer import BOS_ID, EOS_ID, CaptionTokenizer
    from models.pictures.sizing import to_pixels

    captions = [caption_of(name) for name in NAMES]
    tokenizer = CaptionTokenizer.train(captions)
    spec = PreprocessSpec(height=SIDE, width=SIDE)
    # More threads are slower for so small a network, and far slower on a busy machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = CnnTransformer(
        CnnTransformerConfig(
            backbone="tiny",
            image_height=SIDE,
            image_width=SIDE,
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_layers=0,
            decoder_layers=1,
            decoder_heads=2,
            ffn_dim=64,
            dropout=0.0,
            attention_dropout=0.0,
            max_positions=65,
        )
    )
    pixels = torch.from_numpy(np.stack([to_pixels(draw(name), spec) for name in NAMES]))
    ids = [tokenizer.encode(caption) for caption in captions]
    inputs = torch.tensor([[[BOS_ID, *words]] for words in ids])
    labels = torch.tensor([[[*words, EOS_ID]] for words in ids])
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.train()
    for _ in range(500):
        loss = network(inputs, labels, pixels=pixels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.005:
            break
    torch.set_num_threads(threads)
    directory.mkdir(parents=True, exist_ok=True)
    network.eval().save_pretrained(directory)
    tokenizer.save(directory)
    metadata.write(
        directory,
        metadata.ModelMetadata(
            method="compact",
            preprocess=spec,
            decode=DecodeDefaults(num_beams=2, max_length=12),
            vocabulary_sha256=tokenizer.vocabulary_hash(),
            parameters=sum(weights.numel() for weights in network.parameters()),
        ),
    )

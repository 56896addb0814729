"""`vit-gpt2`: a vision transformer that GPT-2 looks at through cross-attention.

transformers' `VisionEncoderDecoderModel` with our decoding and training pass over its weights. The
best-known model of the kind is nlpconnect/vit-gpt2-image-captioning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import VisionEncoderDecoderConfig, VisionEncoderDecoderModel

from models.api.options import DecodeDefaults
from models.api.preprocessing import PreprocessSpec, normalisation
from models.captioners.vit_gpt2.gpt2_decoder import Gpt2Decoder
from models.layers.caption_output import CaptionOutput
from models.layers.network_protocol import IGNORED, DecodeState

DEFAULTS = DecodeDefaults(num_beams=4, max_length=16)
"""Those of nlpconnect's model card."""

ENCODERS = ("vit", "deit", "swin")
"""Encoders whose output is a grid of patches, after class tokens if any."""


class VitGpt2(VisionEncoderDecoderModel):
    """A `VisionEncoderDecoderModel` that is a `CaptionNetwork`.

    `preprocess` says how pixels are scaled; whoever loads the network sets it.

    Raises:
        ValueError: the encoder or the decoder is of another kind.
    """

    config_class = VisionEncoderDecoderConfig
    main_input_name = "pixels"
    config: VisionEncoderDecoderConfig
    preprocess = PreprocessSpec()
    unknown_id: int | None = None

    def __init__(self, config: VisionEncoderDecoderConfig, *args: Any, **kwargs: Any) -> None:
        encoder, decoder = cast(Any, config.encoder), cast(Any, config.decoder)
        check_kind(encoder.model_type, decoder.model_type)
        super().__init__(config, *args, **kwargs)
        self.bos_id = token_id(config, "decoder_start_token_id", "bos_token_id")
        self.eos_id = token_id(config, "eos_token_id")
        self.pad_id = token_id(config, "pad_token_id", "eos_token_id")
        self.grid = grid(encoder)
        # Left out of checkpoints, and not to be missed when one is read.
        self._keys_to_ignore_on_save = list(self.all_tied_weights_keys)
        self.text = Gpt2Decoder(cast(Any, self.decoder))

    @property
    def vocab_size(self) -> int:
        """Number of tokens that may be produced."""
        return int(cast(Any, self.config.decoder).vocab_size)

    @property
    def max_tokens(self) -> int:
        """Longest caption in tokens, end token included."""
        return self.text.max_positions

    def encode(self, pixels: Tensor) -> Tensor:
        """Return what the decoder attends to, `[B, S, D]`, of pictures `uint8 [B, 3, H, W]`."""
        scale, offset = normalisation(self.preprocess)
        dtype = self.decoder.dtype
        images = pixels.float() * torch.from_numpy(scale).to(pixels.device)[:, None, None]
        images = images + torch.from_numpy(offset).to(pixels.device)[:, None, None]
        memory = self.encoder(pixel_values=images.to(dtype)).last_hidden_state
        if hasattr(self, "enc_to_dec_proj"):
            memory = self.enc_to_dec_proj(memory)
        return cast(Tensor, memory)

    def start(self, memory: Tensor, max_steps: int) -> DecodeState:
        """Begin a decode; see `CaptionNetwork`."""
        return self.text.start(memory, max_steps)

    def step(self, tokens: Tensor, state: DecodeState) -> Tensor:
        """Feed one token a row; see `CaptionNetwork`."""
        return self.text.step(tokens, state)

    def decode(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return logits `[N, T, V]`; see `CaptionNetwork`."""
        return self.text.decode(tokens, memory)

    def word_maps(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return where the last layer looked; see `CaptionNetwork`.

        The weight on class tokens, which stand for no place, is left out.
        """
        maps: list[Tensor] = []
        self.text.decode(tokens, memory, maps)
        rows, columns = self.grid
        places = maps[-1][..., -rows * columns :]  # [N, T, rows * columns]
        places = places / places.sum(-1, keepdim=True).clamp_min(torch.finfo(places.dtype).tiny)
        return places.reshape(*tokens.shape, rows, columns)

    def forward(
        self,
        input_ids: Tensor,
        pixels: Tensor,
        labels: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> CaptionOutput:
        """Teacher-forced pass over several captions a picture; the picture is encoded once.

        Args:
            input_ids: int64 `[B, C, T]`, start token first, padded.
            pixels: `uint8 [B, 3, H, W]`.
            labels: int64 `[B, C, T]`, the tokens to predict; `IGNORED` (-100) does not count.
            label_smoothing: share of the target spread evenly over the vocabulary, 0..1.
        """
        logits = self.decode(input_ids.flatten(0, 1), self.encode(pixels))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(
                logits.flatten(0, 1).float(),
                labels.flatten(),
                ignore_index=IGNORED,
                label_smoothing=label_smoothing,
            )
        return CaptionOutput(loss=loss, logits=logits.view(*input_ids.shape, -1))

    def trunk_parameters(self) -> Iterable[nn.Parameter]:
        """Return the image encoder's weights; see `TrainableNetwork`."""
        return cast(nn.Module, self.encoder).parameters()

    def let_trunk_learn(self, learns: bool) -> None:
        """Let the image encoder learn or not; see `TrainableNetwork`."""
        encoder: Any = self.encoder
        encoder.requires_grad_(learns)
        # Its output is not asked for, so it gets no gradient.
        encoder.pooler.requires_grad_(False)

    def compile_trunk(self) -> None:
        """Have the image encoder compiled; see `TrainableNetwork`."""
        cast(nn.Module, self.encoder).compile()

    def cross_attention(self) -> Iterable[nn.Module]:
        """Yield what brings the picture to GPT-2; see `TrainableNetwork`."""
        if hasattr(self, "enc_to_dec_proj"):
            yield self.enc_to_dec_proj
        for block in self.text.blocks():
            yield from (block.crossattention, block.ln_cross_attn)

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Write weights and configuration as transformers' own class, so that any tool loads it."""
        super().save_pretrained(save_directory, *args, **kwargs)
        path = Path(save_directory) / "config.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["architectures"] = [VisionEncoderDecoderModel.__name__]
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_kind(encoder: str, decoder: str) -> None:
    """Raise `ValueError` unless these model types make a captioner of this method."""
    if encoder not in ENCODERS or decoder != "gpt2":
        raise ValueError(
            f"a {encoder!r} encoder with a {decoder!r} decoder; vit-gpt2 takes one of "
            f"{', '.join(ENCODERS)} with gpt2"
        )


def grid(encoder: Any) -> tuple[int, int]:
    """Return rows and columns of the patches that an encoder of this configuration puts out."""
    size, patch = encoder.image_size, encoder.patch_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    if encoder.model_type == "swin":
        patch = patch * 2 ** (len(encoder.depths) - 1)
    return height // patch, width // patch


def token_id(config: VisionEncoderDecoderConfig, *names: str) -> int:
    """Return the first of these ids that the configuration, or its decoder's, gives.

    Raises:
        ValueError: neither gives any.
    """
    for name in names:
        for part in (config, config.decoder):
            found = getattr(part, name, None)
            if isinstance(found, int):
                return found
    raise ValueError(f"the configuration gives no {names[0]}")

"""Configuration of the CNN encoder + transformer decoder captioner."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Self

from transformers import PretrainedConfig

from models.backbones import find_backbone
from models.captioners.cnn_transformer.tokenizer import BOS_ID, EOS_ID, PAD_ID


class CnnTransformerConfig(PretrainedConfig):
    """Sizes and choices of `models.captioners.cnn_transformer.network.CnnTransformer`.

    Args:
        backbone: key of `models.backbones.BACKBONES`.
        image_height, image_width: input size in pixels; `None` is the backbone's.
        image_mean, image_std: normalisation of pixels scaled to 0..1; `None` is the backbone's.
        vocab_size: words plus the four special tokens.
        d_model: width of embeddings and of every layer.
        encoder_layers: transformer blocks over the grid of image features; may be 0.
        encoder_heads, decoder_heads: attention heads.
        head_dim: width of one head; `None` is `d_model // decoder_heads`. Keras' `key_dim`.
        decoder_layers: transformer blocks with self- and cross-attention.
        ffn_dim: inner width of the feed-forward layers.
        dropout: on embeddings and after every sub-layer.
        attention_dropout: on attention weights.
        output_dropout: before the vocabulary projection.
        pre_norm: LayerNorm before each sub-layer (and once at the end) instead of after it.
        project_memory: bring image features to `d_model` once, with positions; otherwise the
            cross-attention reads the raw features (as the TF tutorial does).
        memory_activation: `"linear"` or `"relu"` for that projection.
        scale_embeddings: multiply token embeddings by sqrt(d_model).
        tie_embeddings: the vocabulary projection shares the embedding's weights.
        max_positions: longest sequence, start token included.
        freeze_backbone: keep the trunk's weights fixed in training.

    Raises:
        ValueError: there is no such backbone, a size is no positive number, or heads do not share
            out the width evenly; the message names the field.
    """

    model_type = "captionbox-cnn-transformer"

    def __init__(
        self,
        backbone: str = "mobilenet_edgetpu",
        image_height: int | None = None,
        image_width: int | None = None,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        vocab_size: int = 4096,
        d_model: int = 384,
        encoder_layers: int = 1,
        encoder_heads: int = 6,
        decoder_layers: int = 3,
        decoder_heads: int = 6,
        head_dim: int | None = None,
        ffn_dim: int = 768,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
        output_dropout: float = 0.0,
        pre_norm: bool = True,
        project_memory: bool = True,
        memory_activation: str = "linear",
        scale_embeddings: bool = False,
        tie_embeddings: bool = True,
        max_positions: int = 65,
        freeze_backbone: bool = False,
        **kwargs: Any,
    ) -> None:
        try:
            made_for = find_backbone(backbone)
        except ValueError as error:
            raise ValueError(f"backbone: {error}") from None
        self.backbone = backbone
        self.image_height = made_for.height if image_height is None else image_height
        self.image_width = made_for.width if image_width is None else image_width
        self.image_mean = list(made_for.mean if image_mean is None else image_mean)
        self.image_std = list(made_for.std if image_std is None else image_std)
        self.vocab_size = vocab_size
        self.d_model = d_model
        self.encoder_layers = encoder_layers
        self.encoder_heads = encoder_heads
        self.decoder_layers = decoder_layers
        self.decoder_heads = decoder_heads
        _check_sizes(
            {
                "image_height": self.image_height,
                "image_width": self.image_width,
                "vocab_size": vocab_size,
                "d_model": d_model,
                "encoder_heads": encoder_heads,
                "decoder_layers": decoder_layers,
                "decoder_heads": decoder_heads,
                "ffn_dim": ffn_dim,
                "max_positions": max_positions,
                **({} if head_dim is None else {"head_dim": head_dim}),
            }
        )
        if encoder_layers:
            _width_of_heads(d_model, "encoder_heads", encoder_heads)
        self.head_dim = head_dim or _width_of_heads(
            d_model, "decoder_heads", decoder_heads, ": take another number, or give head_dim"
        )
        self.ffn_dim = ffn_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.output_dropout = output_dropout
        self.pre_norm = pre_norm
        self.project_memory = project_memory
        self.memory_activation = memory_activation
        self.scale_embeddings = scale_embeddings
        self.tie_embeddings = tie_embeddings
        self.max_positions = max_positions
        self.freeze_backbone = freeze_backbone
        kwargs.setdefault("pad_token_id", PAD_ID)
        kwargs.setdefault("bos_token_id", BOS_ID)
        kwargs.setdefault("eos_token_id", EOS_ID)
        # transformers' own tying would look for modules that this model does not have.
        kwargs["tie_word_embeddings"] = False
        super().__init__(**kwargs)

    @classmethod
    def of(cls, vocab_size: int, settings: Mapping[str, Any]) -> Self:
        """Return the configuration of a fresh network.

        Args:
            vocab_size: tokens, special ones included.
            settings: arguments by name.

        Raises:
            ValueError: as the constructor, or there is no such argument; the message names it.
        """
        known = inspect.signature(cls).parameters.keys() - {"vocab_size", "kwargs"}
        for name in settings:
            if name not in known:
                raise ValueError(f"{name}: the network has no such setting")
        return cls(vocab_size=vocab_size, **settings)


def _check_sizes(sizes: Mapping[str, Any]) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name}: must be a whole number of at least 1, got {size!r}")


def _width_of_heads(width: int, name: str, heads: int, instead: str = "") -> int:
    """Return the width of one of several heads; `name` and `instead` are for the message."""
    share, rest = divmod(width, heads)
    if rest:
        raise ValueError(f"{name}: {heads} do not divide d_model {width} evenly{instead}")
    return share

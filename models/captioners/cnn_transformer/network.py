"""CNN encoder + transformer decoder captioner: the network behind `compact` and two tutorials.

Follows Xu et al. 2015 (attention over a grid of CNN features) with the decoder of Vaswani et al.
2017. `presets.py` beside this file configures it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.backbones import find_backbone
from models.captioners.cnn_transformer.config import CnnTransformerConfig
from models.captioners.cnn_transformer.tokenizer import (
    BOS_ID,
    EOS_ID,
    NUM_NEVER_PRODUCED,
    PAD_ID,
    UNK_ID,
)
from models.layers.attention import Attention, FeedForward, KeyValue, write_cache
from models.layers.caption_output import CaptionOutput
from models.layers.network_protocol import IGNORED, DecodeState


class Layer(nn.Module):
    """One transformer block; a decoder block when it cross-attends, else an encoder block."""

    def __init__(self, config: CnnTransformerConfig, heads: int, memory_dim: int | None) -> None:
        super().__init__()
        width = config.d_model
        head_dim = config.head_dim if memory_dim is not None else width // heads
        self.pre_norm = config.pre_norm
        self.drop = nn.Dropout(config.dropout)
        self.self_attention = Attention(width, heads, head_dim, None, config.attention_dropout)
        self.self_norm = nn.LayerNorm(width)
        if memory_dim is not None:
            self.cross_attention = Attention(
                width, heads, head_dim, memory_dim, config.attention_dropout
            )
            self.cross_norm = nn.LayerNorm(width)
        self.ffn = FeedForward(width, config.ffn_dim, gelu=config.pre_norm)
        self.ffn_norm = nn.LayerNorm(width)

    def forward(
        self,
        hidden: Tensor,
        memory: KeyValue | None = None,
        cache: KeyValue | None = None,
        position: int = 0,
        maps: list[Tensor] | None = None,
    ) -> Tensor:
        """Run the block.

        Args:
            hidden: `[N, T, D]`; T is 1 when `cache` is given.
            memory: cross-attention keys and values `[B, heads, S, head_dim]` each, N = B * R.
            cache: self-attention cache to extend at `position`; without it the block sees the whole
                sequence, causally where it is a decoder block.
            position: 0-based index of the token in `hidden` when `cache` is given.
            maps: collects this block's cross-attention weights `[N, T, S]`.

        Returns:
            `[N, T, D]`.
        """
        normed = self.self_norm(hidden) if self.pre_norm else hidden
        own = self.self_attention.keys_values(normed)
        if cache is None:
            mixed = self.self_attention(normed, own, causal=memory is not None)
        else:
            mixed = self.self_attention(normed, write_cache(cache, own, position))
        hidden = self._join(hidden, mixed, self.self_norm)
        if memory is not None:
            normed = self.cross_norm(hidden) if self.pre_norm else hidden
            if maps is not None:
                maps.append(self.cross_attention.weights(normed, memory))
            hidden = self._join(hidden, self.cross_attention(normed, memory), self.cross_norm)
        normed = self.ffn_norm(hidden) if self.pre_norm else hidden
        return self._join(hidden, self.ffn(normed), self.ffn_norm)

    def _join(self, hidden: Tensor, update: Tensor, norm: nn.Module) -> Tensor:
        hidden = hidden + self.drop(update)
        return hidden if self.pre_norm else cast(Tensor, norm(hidden))


class CnnTransformer(PreTrainedModel):
    """Captioner: image trunk, optional encoder blocks over its grid, autoregressive decoder."""

    config_class = CnnTransformerConfig
    main_input_name = "pixels"
    config: CnnTransformerConfig
    bos_id, eos_id, pad_id = BOS_ID, EOS_ID, PAD_ID
    unknown_id: int | None = UNK_ID

    def __init__(self, config: CnnTransformerConfig) -> None:
        super().__init__(config)
        backbone = find_backbone(config.backbone)
        trunk = backbone.build()
        channels = cast(int, trunk.out_channels)
        width = config.d_model
        self.trunk = trunk
        self.grid = backbone.grid(config.image_height, config.image_width)
        if config.project_memory:
            self.memory_projection = nn.Linear(channels, width)
            self.memory_norm = nn.LayerNorm(width)
            self.memory_positions = nn.Parameter(torch.zeros(self.grid[0] * self.grid[1], width))
        self.encoder = nn.ModuleList(
            Layer(config, config.encoder_heads, None) for _ in range(config.encoder_layers)
        )
        if config.encoder_layers and config.pre_norm:
            self.encoder_norm = nn.LayerNorm(width)
        memory_dim = width if config.project_memory else channels
        self.decoder = nn.ModuleList(
            Layer(config, config.decoder_heads, memory_dim) for _ in range(config.decoder_layers)
        )
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.position_embedding = nn.Embedding(config.max_positions, width)
        self.embedding_drop = nn.Dropout(config.dropout)
        self.output_drop = nn.Dropout(config.output_dropout)
        if config.pre_norm:
            self.decoder_norm = nn.LayerNorm(width)
        self.output_bias = nn.Parameter(torch.zeros(config.vocab_size))
        if not config.tie_embeddings:
            self.output_weight = nn.Parameter(torch.empty(config.vocab_size, width))
        mean, std = torch.tensor(config.image_mean), torch.tensor(config.image_std)
        self.register_buffer("_scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("_offset", (-mean / std).view(3, 1, 1), persistent=False)
        if config.freeze_backbone:
            trunk.requires_grad_(False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a fresh module: 0.02 normals for embeddings, Xavier for linear layers."""
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, CnnTransformer):
            mean, std = torch.tensor(self.config.image_mean), torch.tensor(self.config.image_std)
            self._scale = (1 / (255 * std)).view(3, 1, 1)
            self._offset = (-mean / std).view(3, 1, 1)
            nn.init.zeros_(self.output_bias)
            if self.config.project_memory:
                nn.init.normal_(self.memory_positions, std=0.02)
            if not self.config.tie_embeddings:
                nn.init.xavier_uniform_(self.output_weight)

    def train(self, mode: bool = True) -> CnnTransformer:
        """Set training mode; a frozen trunk stays in evaluation mode, BatchNorm statistics too."""
        super().train(mode)
        if self.config.freeze_backbone:
            self.trunk.eval()
        return self

    @property
    def vocab_size(self) -> int:
        """Number of words, special tokens included."""
        return self.config.vocab_size

    @property
    def max_tokens(self) -> int:
        """Longest caption in tokens, end token included."""
        return self.config.max_positions - 1

    # --- encoder -----------------------------------------------------------------------------

    def image_features(self, pixels: Tensor) -> Tensor:
        """Return the trunk's feature grid as a sequence.

        Args:
            pixels: `uint8 [B, 3, H, W]`, or floating point of the same values 0..255.

        Returns:
            `[B, S, C]`, S = rows * columns of the grid, row by row from the top left.
        """
        images = pixels.to(self._scale.dtype) * self._scale + self._offset
        images = images.contiguous(memory_format=torch.channels_last)
        grid = self.trunk(images)  # [B, C, h, w]
        return cast(Tensor, grid.flatten(2).transpose(1, 2))

    def memory(self, features: Tensor) -> Tensor:
        """Return what the decoder attends to, `[B, S, D]`, from trunk features `[B, S, C]`."""
        if not self.config.project_memory:
            return features
        hidden = self.memory_projection(features)
        if self.config.memory_activation == "relu":
            hidden = hidden.relu()
        hidden = self.embedding_drop(self.memory_norm(hidden) + self.memory_positions)
        for layer in self.encoder:
            hidden = layer(hidden)
        if self.config.encoder_layers and self.config.pre_norm:
            hidden = self.encoder_norm(hidden)
        return cast(Tensor, hidden)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the decoder's memory `[B, S, D]` of pictures `uint8 [B, 3, H, W]`."""
        return self.memory(self.image_features(pixels))

    # --- decoder -----------------------------------------------------------------------------

    def _decoder_layers(self) -> list[Layer]:
        return [cast(Layer, layer) for layer in self.decoder]

    def _embed(self, tokens: Tensor, first: int) -> Tensor:
        positions = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        words = self.token_embedding(tokens)
        if self.config.scale_embeddings:
            words = words * self.config.d_model**0.5
        return cast(Tensor, self.embedding_drop(words + self.position_embedding(positions)))

    def _logits(self, hidden: Tensor) -> Tensor:
        if self.config.pre_norm:
            hidden = self.decoder_norm(hidden)
        weight = self.token_embedding.weight if self.config.tie_embeddings else self.output_weight
        logits = F.linear(self.output_drop(hidden), weight, self.output_bias)
        # PAD, UNK and START are no words: they are never produced and take no probability.
        banned = torch.full_like(logits[..., :NUM_NEVER_PRODUCED], float("-inf"))
        return torch.cat((banned, logits[..., NUM_NEVER_PRODUCED:]), -1)

    def decode(self, tokens: Tensor, memory: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Return logits `[N, T, V]` for the token after each position (teacher forcing).

        Args:
            tokens: int64 `[N, T]`, the start token first; N = B * R rows grouped by picture.
            memory: `[B, S, D]`.
            maps: collects each layer's cross-attention weights `[N, T, S]`.
        """
        hidden = self._embed(tokens, 0)
        for layer in self._decoder_layers():
            keys_values = layer.cross_attention.keys_values(memory)
            hidden = layer(hidden, keys_values, maps=maps)
        return self._logits(hidden)

    def start(self, memory: Tensor, max_steps: int) -> DecodeState:
        """Begin a decode with one row per picture.

        Args:
            memory: `[B, S, D]`.
            max_steps: number of times `step` will be called at most.

        Raises:
            ValueError: `max_steps` exceeds the position table.
        """
        if max_steps > self.config.max_positions:
            raise ValueError(
                f"max_steps must be at most {self.config.max_positions}, got {max_steps}"
            )
        cross = [layer.cross_attention.keys_values(memory) for layer in self._decoder_layers()]
        shape = (len(memory), self.config.decoder_heads, max_steps, self.config.head_dim)
        own = [
            (memory.new_empty(shape, dtype=key.dtype), memory.new_empty(shape, dtype=key.dtype))
            for key, _ in cross
        ]
        return DecodeState(cross=cross, own=own)

    def step(self, tokens: Tensor, state: DecodeState) -> Tensor:
        """Feed one token a row, advance `state` and return logits `[N, V]` for the next one.

        Args:
            tokens: int64 `[N]`.
            state: from `start`, possibly after `state.select`.
        """
        hidden = self._embed(tokens[:, None], state.position)  # [N, 1, D]
        for layer, cross, own in zip(self._decoder_layers(), state.cross, state.own, strict=True):
            hidden = layer(hidden, cross, own, state.position)
        state.position += 1
        return self._logits(hidden[:, 0])

    def word_maps(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return where the last layer looked for each next token; see `CaptionNetwork`."""
        maps: list[Tensor] = []
        self.decode(tokens, memory, maps)
        return maps[-1].reshape(*tokens.shape, *self.grid)

    # --- training ----------------------------------------------------------------------------

    def trunk_parameters(self) -> Iterable[nn.Parameter]:
        """Return the trunk's weights; see `TrainableNetwork`."""
        return self.trunk.parameters()

    def let_trunk_learn(self, learns: bool) -> None:
        """Let the trunk learn unless the configuration freezes it; see `TrainableNetwork`."""
        self.trunk.requires_grad_(learns and not self.config.freeze_backbone)

    def compile_trunk(self) -> None:
        """Have the image encoder compiled; see `TrainableNetwork`."""
        self.trunk.compile()

    def cross_attention(self) -> Iterable[nn.Module]:
        """Yield what brings the picture to the decoder; see `TrainableNetwork`."""
        if self.config.project_memory:
            yield from (self.memory_projection, self.memory_norm)
        for layer in self._decoder_layers():
            yield from (layer.cross_attention, layer.cross_norm)

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor | None = None,
        pixels: Tensor | None = None,
        features: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> CaptionOutput:
        """Teacher-forced pass over several captions a picture; the picture is encoded once.

        Args:
            input_ids: int64 `[B, C, T]`, start token first, padded.
            labels: int64 `[B, C, T]`, the tokens to predict; `IGNORED` (-100) does not count.
                Unknown words do not count either.
            pixels: `uint8 [B, 3, H, W]`; or
            features: trunk features `[B, S, channels]` computed before (frozen trunk).
            label_smoothing: share of the target spread evenly over the vocabulary, 0..1.

        Raises:
            ValueError: neither or both of `pixels` and `features` were given.
        """
        if (pixels is None) == (features is None):
            raise ValueError("give either pixels or features")
        if features is None:
            features = self.image_features(cast(Tensor, pixels))
        batch, captions, length = input_ids.shape
        memory = self.memory(features.to(self.memory_dtype))
        logits = self.decode(input_ids.view(batch * captions, length), memory)
        loss = None
        if labels is not None:
            targets = labels.reshape(-1)
            # An unknown word teaches nothing that could be said.
            targets = targets.masked_fill(targets == UNK_ID, IGNORED)
            targets = torch.where(targets == IGNORED, IGNORED, targets - NUM_NEVER_PRODUCED)
            words = logits.view(batch * captions * length, -1)[:, NUM_NEVER_PRODUCED:]
            loss = F.cross_entropy(
                words.float(), targets, ignore_index=IGNORED, label_smoothing=label_smoothing
            )
        return CaptionOutput(loss=loss, logits=logits.view(batch, captions, length, -1))

    @property
    def memory_dtype(self) -> torch.dtype:
        """Floating-point type of the decoder's weights."""
        return self.position_embedding.weight.dtype

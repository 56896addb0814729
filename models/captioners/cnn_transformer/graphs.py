"""A `CnnTransformer` as the parts that graphs are made of; see `models.runtimes.openvino.parts`."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from models.captioners.cnn_transformer.network import CnnTransformer, Layer
from models.captioners.cnn_transformer.tokenizer import NUM_NEVER_PRODUCED
from models.runtimes.openvino.files import Sizes
from models.runtimes.openvino.parts import (
    Encoder,
    Parts,
    Step,
    attend_to_picture,
    attend_to_written,
    join_heads,
    side_by_side,
    split_heads,
)


def parts(network: CnnTransformer) -> Parts:
    """Return the parts of a network in evaluation mode, float32; they share what they can."""
    config = network.config
    words = network.token_embedding.weight.detach()
    if config.scale_embeddings:
        words = words * config.d_model**0.5
    return Parts(
        encoder=Encoder(network),
        pictures=_Pictures(network),
        step=Step(
            nn.Embedding.from_pretrained(words),
            network.position_embedding,
            (_Layer(cast(Layer, layer), config.pre_norm) for layer in network.decoder),
        ),
        words=_Words(network),
        sizes=Sizes(
            bos_id=network.bos_id,
            eos_id=network.eos_id,
            vocab_size=config.vocab_size,
            max_tokens=network.max_tokens,
            grid=network.grid,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
            head_dim=config.head_dim,
            width=config.d_model,
        ),
    )


class _Pictures(nn.Module):
    """From memory to every layer's cross-attention keys, then values."""

    def __init__(self, network: CnnTransformer) -> None:
        super().__init__()
        self.layers = network.decoder

    def forward(self, memory: Tensor) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for layer in self.layers:
            found += cast(Layer, layer).cross_attention.keys_values(memory)
        return tuple(found)


class _Layer(nn.Module):
    """A decoder layer."""

    def __init__(self, layer: Layer, pre_norm: bool) -> None:
        super().__init__()
        own, cross = layer.self_attention, layer.cross_attention
        self.heads, self.pre_norm = own.heads, pre_norm
        self.scaling = own.head_dim**-0.5
        self.project = side_by_side(own.query, own.key_value)
        self.out, self.own_norm = own.out, layer.self_norm
        self.ask, self.cross_out, self.cross_norm = cross.query, cross.out, layer.cross_norm
        self.ffn, self.ffn_norm = layer.ffn, layer.ffn_norm

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor,
        keys: Tensor,
        values: Tensor,
        cross_keys: Tensor,
        cross_values: Tensor,
    ) -> tuple[Tensor, ...]:
        """Map `[P, R, D]`; return also the weights `[P, heads, R, S]`, the new key and value."""
        projected = self.project(self._before(hidden, self.own_norm))
        query, key, value = (split_heads(part, self.heads) for part in projected.chunk(3, -1))
        mixed = attend_to_written(query * self.scaling, key, value, keys, values, mask)
        hidden = self._join(hidden, self.out(join_heads(mixed)), self.own_norm)
        asked = split_heads(self.ask(self._before(hidden, self.cross_norm)), self.heads)
        mixed, looked = attend_to_picture(asked * self.scaling, cross_keys, cross_values)
        hidden = self._join(hidden, self.cross_out(join_heads(mixed)), self.cross_norm)
        fed = self.ffn(self._before(hidden, self.ffn_norm))
        return self._join(hidden, fed, self.ffn_norm), looked, key, value

    def _before(self, hidden: Tensor, norm: nn.Module) -> Tensor:
        return cast(Tensor, norm(hidden)) if self.pre_norm else hidden

    def _join(self, hidden: Tensor, update: Tensor, norm: nn.Module) -> Tensor:
        return hidden + update if self.pre_norm else cast(Tensor, norm(hidden + update))


class _Words(nn.Module):
    """From the last layer's output to logits."""

    def __init__(self, network: CnnTransformer) -> None:
        super().__init__()
        config = network.config
        self.norm: Any = network.decoder_norm if config.pre_norm else nn.Identity()
        weight = network.token_embedding.weight if config.tie_embeddings else network.output_weight
        self.output = nn.Linear(config.d_model, config.vocab_size)
        self.output.weight = nn.Parameter(weight.detach(), requires_grad=False)
        bias = network.output_bias.detach().clone()
        # PAD, UNK and START are no words: they are never produced and take no probability.
        bias[:NUM_NEVER_PRODUCED] = float("-inf")
        self.output.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.output(self.norm(hidden)))

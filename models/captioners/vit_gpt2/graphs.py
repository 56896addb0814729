"""A `VitGpt2` as the parts that graphs are made of; see `models.runtimes.openvino.parts`."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from models.captioners.vit_gpt2.network import VitGpt2
from models.runtimes.openvino.files import Sizes
from models.runtimes.openvino.parts import (
    Encoder,
    Parts,
    Step,
    attend_to_picture,
    attend_to_written,
    join_heads,
    split_heads,
)


def parts(network: VitGpt2) -> Parts:
    """Return the parts of a network in evaluation mode, float32; they share what they can."""
    text = network.text
    transformer = text.model.transformer
    return Parts(
        encoder=Encoder(network),
        pictures=_Pictures(text),
        step=Step(
            transformer.wte,
            transformer.wpe,
            (_Layer(block, text.heads) for block in text.blocks()),
        ),
        words=_Words(text),
        sizes=Sizes(
            bos_id=network.bos_id,
            eos_id=network.eos_id,
            vocab_size=network.vocab_size,
            max_tokens=network.max_tokens,
            grid=network.grid,
            layers=len(text.blocks()),
            heads=text.heads,
            head_dim=text.head_dim,
            width=text.heads * text.head_dim,
        ),
    )


class _Pictures(nn.Module):
    """From memory to every layer's cross-attention keys, then values."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_linear(block.crossattention.c_attn) for block in text.blocks())
        self.heads = text.heads

    def forward(self, memory: Tensor) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for layer in self.layers:
            found += [split_heads(part, self.heads) for part in layer(memory).chunk(2, -1)]
        return tuple(found)


class _Layer(nn.Module):
    """A layer of GPT-2 with cross-attention, over the weights of transformers'."""

    def __init__(self, block: Any, heads: int) -> None:
        super().__init__()
        attention, cross, mlp = block.attn, block.crossattention, block.mlp
        self.heads, self.scaling, self.cross_scaling = heads, attention.scaling, cross.scaling
        self.before_own, self.before_cross, self.before_mlp = (
            block.ln_1,
            block.ln_cross_attn,
            block.ln_2,
        )
        self.project, self.out = _linear(attention.c_attn), _linear(attention.c_proj)
        self.ask, self.cross_out = _linear(cross.q_attn), _linear(cross.c_proj)
        self.widen, self.activation, self.narrow = _linear(mlp.c_fc), mlp.act, _linear(mlp.c_proj)

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
        projected = self.project(self.before_own(hidden)).chunk(3, -1)
        query, key, value = (split_heads(part, self.heads) for part in projected)
        mixed = attend_to_written(query * self.scaling, key, value, keys, values, mask)
        hidden = hidden + self.out(join_heads(mixed))
        asked = split_heads(self.ask(self.before_cross(hidden)), self.heads)
        mixed, looked = attend_to_picture(asked * self.cross_scaling, cross_keys, cross_values)
        hidden = hidden + self.cross_out(join_heads(mixed))
        fed = self.narrow(self.activation(self.widen(self.before_mlp(hidden))))
        return hidden + fed, looked, key, value


class _Words(nn.Module):
    """From the last layer's output to logits."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.norm, self.head = text.model.transformer.ln_f, text.model.lm_head

    def forward(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.norm(hidden)))


def _linear(layer: Any) -> nn.Linear:
    """Return transformers' `Conv1D`, which keeps its weight the other way round, as a linear."""
    out = nn.Linear(*layer.weight.shape)
    out.weight = nn.Parameter(layer.weight.detach().T.contiguous(), requires_grad=False)
    out.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
    return out

"""A network with GPT-2 as OpenVINO graphs, made of its own weights.

Four graphs, because a graph is run as a whole and in one precision: `encoder` brings pictures to
the decoder's memory; `pictures` makes each layer's cross-attention keys and values of it, once a
picture; `step` feeds one token a row; `words` scores the vocabulary. As in `gpt2_decoder` of
`models.captioners.vit_gpt2`, rows of one picture are extra query positions, so nothing of the
picture is copied per beam. `models.runtimes.openvino.network` runs them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.api.device import Precision
from models.layers.network_protocol import CaptionNetwork
from models.runtimes.openvino.core import import_openvino, signal_stack_kept
from models.runtimes.openvino.files import FOLDER, GraphsInfo, graph_path


class Gpt2Network(CaptionNetwork, Protocol):
    """A network whose decoder is transformers' GPT-2 with cross-attention: a `vit-gpt2`'s.

    Attributes:
        grid: rows and columns of the picture's patches.
        text: the decoder, a `Gpt2Decoder` of `models.captioners.vit_gpt2`.
    """

    grid: tuple[int, int]
    text: Any

    @property
    def vocab_size(self) -> int:
        """Number of tokens that may be produced."""


def write_graphs(
    network: Gpt2Network,
    directory: Path,
    weights: tuple[Precision, ...],
    pictures: NDArray[np.uint8],
) -> None:
    """Write a network's graphs into a model directory.

    Args:
        network: float32, in evaluation mode, its layers not packed.
        directory: the model's.
        weights: number formats of the weights: `"fp32"`, `"int8"` or both.
        pictures: `uint8 [P, 3, H, W]`, P >= 1: those that the ranges of int8 activations are taken
            from.

    Raises:
        BackendError: OpenVINO, or NNCF for int8, is not installed.
    """
    openvino = import_openvino()
    (directory / FOLDER).mkdir(exist_ok=True)
    with torch.inference_mode():
        memory = torch.cat([network.encode(torch.from_numpy(one[None])) for one in pictures])
    samples = {"encoder": list(pictures[:, None]), "pictures": list(memory[:, None].numpy())}
    for name, module, example, shapes in _modules(network, pictures.shape, memory.shape):
        with torch.inference_mode(), warnings.catch_warnings():
            # What transformers checks of an input's shape holds for every one of this network.
            warnings.simplefilter("ignore")
            graph = openvino.convert_model(module.eval(), example_input=example, input=shapes)
        if "fp32" in weights:
            openvino.save_model(graph, graph_path(directory, name, "fp32"), compress_to_fp16=False)
        if "int8" in weights:
            graph = _quantised(graph, samples.get(name))
            openvino.save_model(graph, graph_path(directory, name, "int8"), compress_to_fp16=False)
    GraphsInfo(
        bos_id=network.bos_id,
        eos_id=network.eos_id,
        vocab_size=network.vocab_size,
        max_tokens=network.max_tokens,
        grid=network.grid,
        layers=len(network.text.blocks()),
        heads=network.text.heads,
        head_dim=network.text.head_dim,
        weights=weights,
        seven_bits=True,
    ).write(directory)


def _quantised(graph: Any, samples: list[NDArray[Any]] | None) -> Any:
    """Return a graph in int8: weights alone, or activations too where there are samples of input.

    A step has few rows, and reading its weights is what takes the time.
    """
    nncf = import_openvino("nncf")
    # `nncf.set_log_level` would also set that of handlers which are not its own.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with signal_stack_kept():
        if samples is None:
            return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM)
        return nncf.quantize(
            graph,
            nncf.Dataset(samples),
            subset_size=len(samples),
            model_type=nncf.ModelType.TRANSFORMER,
            # Processors without VNNI add pairs of products in 16 bits, which overflow where both
            # factors have all their bits: weights keep to seven, and the graphs are right anywhere.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )


def _modules(
    network: Gpt2Network, pixels: tuple[int, ...], memory: tuple[int, ...]
) -> Iterator[tuple[str, nn.Module, Any, list[Any]]]:
    """Yield each graph's name, module, example of its input, and shapes (-1: any size)."""
    text = network.text
    heads, size, layers = text.heads, text.head_dim, len(text.blocks())
    length, width = memory[1:]
    yield (
        "encoder",
        _Encoder(network),
        (torch.zeros((2, *pixels[1:]), dtype=torch.uint8),),
        [[-1, *pixels[1:]]],
    )
    yield "pictures", _Pictures(text), (torch.randn(2, length, width),), [[-1, length, width]]
    own = torch.randn(2 * layers, 3, 4, heads, size).unbind(0)
    cross = torch.randn(2 * layers, 2, heads, length, size).unbind(0)
    shapes = [[-1, -1, heads, size]] * 2 * layers + [[-1, heads, length, size]] * 2 * layers
    example = (torch.zeros(4, dtype=torch.int64), *own, *cross)
    yield "step", _Step(text), example, [[-1], *shapes]
    yield "words", _Words(text), (torch.randn(2, heads * size),), [[-1, heads * size]]


class _Encoder(nn.Module):
    """From `uint8 [B, 3, H, W]` to memory `[B, S, D]`."""

    def __init__(self, network: Gpt2Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network.encode(pixels)


class _Pictures(nn.Module):
    """From memory `[B, S, D]` to every layer's keys, then values, `[B, heads, S, head_dim]`."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_linear(block.crossattention.c_attn) for block in text.blocks())
        self.heads = text.heads

    def forward(self, memory: Tensor) -> tuple[Tensor, ...]:
        out: list[Tensor] = []
        for layer in self.layers:
            for part in layer(memory).chunk(2, dim=-1):
                out.append(part.unflatten(-1, (self.heads, -1)).transpose(1, 2))
        return tuple(out)


class _Step(nn.Module):
    """One token a row; see `forward`."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        transformer = text.model.transformer
        self.tokens, self.positions = transformer.wte, transformer.wpe
        self.layers = nn.ModuleList(_Layer(block, text.heads) for block in text.blocks())

    def forward(self, tokens: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Feed int64 `[N]`.

        Args:
            tokens: one a row.
            caches: every layer's keys, then values, of the T tokens before,
                `[T, N, heads, head_dim]`; then, as `_Pictures` puts them out, of the pictures.

        Returns:
            The last layer's output `[N, D]`; the weights of the last layer's cross-attention
            averaged over heads, `[N, S]`; every layer's key, then value, of this token,
            `[2L, N, heads, head_dim]`.
        """
        done = caches[0].shape[0]
        # Three dimensions throughout: OpenVINO takes a product of two matrices for no linear layer.
        hidden = self.tokens(tokens[:, None]) + self.positions(torch.arange(done, done + 1))
        new: list[Tensor] = []
        looked, first_picture = hidden, 2 * len(self.layers)
        for index, layer in enumerate(self.layers):
            own, cross = caches[2 * index :], caches[first_picture + 2 * index :]
            hidden, looked, *written = layer(hidden, *own[:2], *cross[:2])
            new += written
        return hidden[:, 0], looked.mean(1).flatten(0, 1), torch.stack(new)


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
        self, hidden: Tensor, keys: Tensor, values: Tensor, cross_keys: Tensor, cross_values: Tensor
    ) -> tuple[Tensor, ...]:
        """Map `[N, 1, D]`; return also the weights `[B, heads, R, S]` and the new key and value.

        Attention is written out: the fused operator copies keys that come from outside.
        """
        rows, _one, width = hidden.shape
        projected = self.project(self.before_own(hidden)).view(rows, 3, self.heads, -1)
        query, key, value = projected.unbind(1)  # [N, heads, head_dim]
        keys, values = torch.cat((keys, key[None])), torch.cat((values, value[None]))
        # Sums of products, not matrix products: OpenVINO 2026.4 joins the two with the softmax into
        # one kernel, which is wrong from 16 tokens on where time is the first dimension.
        weights = (keys * (query * self.scaling)).sum(-1, keepdim=True).softmax(0)
        mixed = (weights * values).sum(0)  # [N, heads, head_dim]
        hidden = hidden + self.out(mixed.reshape(rows, 1, width))
        # All rows of a picture query its keys at once: [B, heads, R, head_dim].
        asked = self.ask(self.before_cross(hidden)) * self.cross_scaling
        asked = asked.view(cross_keys.shape[0], -1, self.heads, width // self.heads).transpose(1, 2)
        looked = (asked @ cross_keys.transpose(-1, -2)).softmax(-1)
        mixed = (looked @ cross_values).transpose(1, 2)
        hidden = hidden + self.cross_out(mixed.reshape(rows, 1, width))
        fed = self.narrow(self.activation(self.widen(self.before_mlp(hidden))))
        return hidden + fed, looked, key, value


class _Words(nn.Module):
    """From the last layer's output `[N, D]` to logits `[N, V]`."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.norm, self.head = text.model.transformer.ln_f, text.model.lm_head

    def forward(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.norm(hidden[:, None]))[:, 0])


def _linear(layer: Any) -> nn.Linear:
    """Return transformers' `Conv1D`, which keeps its weight the other way round, as a linear."""
    out = nn.Linear(*layer.weight.shape)
    out.weight = nn.Parameter(layer.weight.detach().T.contiguous(), requires_grad=False)
    out.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
    return out

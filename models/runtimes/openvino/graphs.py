"""Writes a network's parts as graphs into its model directory; `decoder` beside this runs them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.api.device import Precision
from models.runtimes.openvino.core import import_openvino, signal_stack_kept
from models.runtimes.openvino.files import BEST, FOLDER, GraphsInfo, graph_path
from models.runtimes.openvino.parts import Parts

_LARGE = 16
"""Constants of fewer elements are no weights: numbers such as an epsilon may be rounded."""


def write_graphs(
    parts: Parts, directory: Path, weights: tuple[Precision, ...], pictures: NDArray[np.uint8]
) -> None:
    """Write a network's graphs into a model directory.

    Args:
        parts: the network's.
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
        memory = torch.cat([parts.encoder(torch.from_numpy(one[None])) for one in pictures])
    samples = {"encoder": list(pictures[:, None]), "pictures": list(memory[:, None].numpy())}
    for name, module, example, shapes in _modules(parts, pictures.shape, memory.shape):
        with torch.inference_mode(), warnings.catch_warnings():
            # What transformers checks of an input's shape holds for every one of this network.
            warnings.simplefilter("ignore")
            graph = openvino.convert_model(module.eval(), example_input=example, input=shapes)
        if name == "words":
            graph = _with_best(graph, parts.sizes.vocab_size)
        if "fp32" in weights:
            _save(graph, graph_path(directory, name, "fp32"))
        if "int8" in weights:
            _save(_quantised(graph, samples.get(name)), graph_path(directory, name, "int8"))
    info = GraphsInfo(**parts.sizes.model_dump(), weights=weights, seven_bits=True)
    info.write(directory)


def _with_best(graph: Any, vocab_size: int) -> Any:
    """Return a graph with logits that also says what a search asks of them.

    After the logits `[P, R, V]` come the logarithm of the sum of their exponentials, `[P, R, 1]`,
    and the best `BEST` logits and their ids (int64), `[P, R, BEST]`.
    """
    ops = import_openvino("openvino.opset13")
    logits = graph.output(0).get_node().input_value(0)
    last = ops.constant([-1], np.int32)
    top = ops.reduce_max(logits, last, True)
    # Less the largest: exponentials of logits as they are may be beyond float32.
    total = ops.reduce_sum(ops.exp(ops.subtract(logits, top)), last, True)
    count = ops.constant(min(BEST, vocab_size), np.int32)
    best = ops.topk(logits, count, -1, "max", "value", index_element_type="i64")
    found = [logits, ops.add(top, ops.log(total)).output(0), best.output(0), best.output(1)]
    return import_openvino().Model([ops.result(one) for one in found], graph.get_parameters())


def _save(graph: Any, path: Path) -> None:
    """Write a graph; its weights as float16 where that loses nothing, as checkpoints are often."""
    large = [
        node.get_data()
        for node in graph.get_ops()
        if node.get_type_name() == "Constant"
        and node.get_element_type().get_type_name() == "f32"
        and np.prod(node.get_output_shape(0)) > _LARGE
    ]
    with np.errstate(over="ignore"):
        half = all(np.array_equal(one, one.astype(np.float16)) for one in large)
    import_openvino().save_model(graph, path, compress_to_fp16=half)


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
    parts: Parts, pixels: tuple[int, ...], memory: tuple[int, ...]
) -> Iterator[tuple[str, nn.Module, Any, list[Any]]]:
    """Yield each graph's name, module, example of its input, and shapes (-1: any size)."""
    sizes = parts.sizes
    heads, size, layers, width = sizes.heads, sizes.head_dim, sizes.layers, sizes.width
    length, memory_width = memory[1:]
    yield (
        "encoder",
        parts.encoder,
        (torch.zeros((2, *pixels[1:]), dtype=torch.uint8),),
        [[-1, *pixels[1:]]],
    )
    example: tuple[torch.Tensor, ...] = (torch.randn(2, length, memory_width),)
    yield "pictures", parts.pictures, example, [[-1, length, memory_width]]
    example = (
        torch.zeros(2, 3, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(2, 1, 3, 5),
        *torch.randn(2 * layers, 2, heads, 5, size).unbind(0),
        *torch.randn(2 * layers, 2, heads, length, size).unbind(0),
    )
    slots, places = [-1, heads, -1, size], [-1, heads, length, size]
    shapes = [[-1, -1], [1], [-1, 1, -1, -1], *[slots] * 2 * layers, *[places] * 2 * layers]
    yield "step", parts.step, example, shapes
    yield "words", parts.words, (torch.randn(2, 3, width),), [[-1, -1, width]]

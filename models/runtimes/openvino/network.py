"""A `CaptionNetwork` that OpenVINO runs: the graphs of `openvino.graphs`, in one precision.

Keys and values lie in torch's memory and are lent to OpenVINO, never copied: the pictures' once for
all steps of a decode, for it takes its time, and the rows' own, which grow, anew for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor

from models.api.device import Precision
from models.api.metadata import BrokenModelError
from models.runtimes.openvino.core import import_openvino, shared_core
from models.runtimes.openvino.files import GraphsInfo, graph_path
from models.runtimes.processor import is_narrow

_OPENVINO_NAMES = {
    torch.uint8: "u8",
    torch.int64: "i64",
    torch.float32: "f32",
    torch.bfloat16: "bf16",
}


@dataclass
class OpenVinoState:
    """Caches of a decode in progress. Rows are beams or samples, grouped by picture.

    Attributes:
        cross: per layer the pictures' keys, then values, `[B, heads, S, head_dim]`.
        own: the rows', `[2 * layers, T_max, N, heads, head_dim]`; time comes early, so that a
            layer's part that has been written is one piece of memory.
        position: number of tokens already fed.
        looked: where the last layer looked in the step before, `[N, S]`, averaged over heads;
            the next step writes over it.
    """

    cross: list[Tensor]
    own: Tensor
    position: int = 0
    looked: Tensor | None = None

    def select(self, rows: Tensor, pictures: Tensor | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` (int64 indices) if given."""
        parts, steps, before, *rest = self.own.shape
        written = self.own[:, : self.position].index_select(2, rows)
        if len(rows) != before:
            self.own = self.own.new_empty((parts, steps, len(rows), *rest))
        # Else into the memory that is lent already.
        self.own[:, : self.position] = written
        if pictures is not None:
            self.cross = [part.index_select(0, pictures) for part in self.cross]


@dataclass(frozen=True)
class _Lent:
    """What a step reads and writes, which stays where it is while one state is decoded.

    Attributes:
        own, cross: the state's, by which it is known.
        parts: memory of `own`.
        tokens: int64 `[N]`.
        hidden, looked, new: the graph's results; see `models.runtimes.openvino.graphs`.
    """

    own: Tensor
    cross: list[Tensor]
    parts: NDArray[Any]
    tokens: Tensor
    hidden: Tensor
    looked: Tensor
    new: Tensor


class OpenVinoNetwork:
    """The graphs of one model, compiled for this processor; see `CaptionNetwork`.

    Computes with as many threads as torch does.

    Args:
        directory: the model's, with graphs.
        precision: what to compute in. `"bf16"` runs the float32 graphs; vocabulary scores are
            float32 in all.

    Raises:
        BackendError: OpenVINO is not installed.
        BrokenModelError: the graphs are missing or damaged.
    """

    def __init__(self, directory: Path, precision: Precision) -> None:
        self._info = info = GraphsInfo.read(directory)
        self._openvino = import_openvino()
        self._core = shared_core()
        self.device = torch.device("cpu")
        self.bos_id, self.eos_id = info.bos_id, info.eos_id
        self.vocab_size, self.max_tokens = info.vocab_size, info.max_tokens
        self._kept = torch.bfloat16 if is_narrow(precision) else torch.float32
        self._element = getattr(self._openvino.Type, _OPENVINO_NAMES[self._kept])
        weights: Precision = "int8" if precision == "int8" else "fp32"
        narrow = "bf16" if is_narrow(precision) else "f32"

        def compiled(name: str, kind: str = narrow) -> Any:
            try:
                return self._compile(graph_path(directory, name, weights), name, kind)
            except RuntimeError as error:
                raise BrokenModelError(f"the graph {name!r} cannot be read: {error}") from error

        self._encoder, self._pictures = compiled("encoder"), compiled("pictures")
        self._step = compiled("step")
        # Three digits are too few to rank words by, and a graph has one precision.
        self._words = compiled("words", "f32")
        self._lent: _Lent | None = None

    def encode(self, pixels: Tensor) -> Tensor:
        """Return memory `[B, S, D]`, float32; see `CaptionNetwork`."""
        memory = torch.from_numpy(self._run(self._encoder, [pixels])[0].data)
        return memory.clone()

    def start(self, memory: Tensor, max_steps: int) -> OpenVinoState:
        """Begin a decode with one row per picture; see `CaptionNetwork`.

        Raises:
            ValueError: `max_steps` exceeds the position table.
        """
        if max_steps > self.max_tokens:
            raise ValueError(f"max_steps must be at most {self.max_tokens}, got {max_steps}")
        info, pictures, length = self._info, len(memory), memory.shape[1]
        shape = (pictures, info.heads, length, info.head_dim)
        cross = [torch.empty(shape, dtype=self._kept) for _ in range(2 * info.layers)]
        self._run(self._pictures, [memory], cross)
        own = (2 * info.layers, max_steps, pictures, info.heads, info.head_dim)
        return OpenVinoState(cross, torch.empty(own, dtype=self._kept))

    def step(self, tokens: Tensor, state: OpenVinoState) -> Tensor:
        """Feed one token a row; see `CaptionNetwork`."""
        lent, done = self._lend(state), state.position
        lent.tokens.copy_(tokens)
        shape = self._openvino.Shape([done, *state.own.shape[2:]])
        for index, part in enumerate(lent.parts, start=1):
            grown = self._openvino.Tensor(part[:done], shape, self._element)
            self._step.set_input_tensor(index, grown)
        self._step.infer()
        # By numpy: torch would wake threads of its own, which then spin beside OpenVINO's.
        lent.parts[:, done] = _array(lent.new)
        state.position += 1
        state.looked = lent.looked
        logits = torch.empty(len(tokens), self.vocab_size)
        self._run(self._words, [lent.hidden], [logits])
        return logits

    def _lend(self, state: OpenVinoState) -> _Lent:
        """Set what of a step's input and output stays, unless it is this state's already."""
        lent = self._lent
        if lent is not None and lent.own is state.own and lent.cross is state.cross:
            return lent
        info, rows, own = self._info, state.own.shape[2], state.own
        lent = self._lent = _Lent(
            own=own,
            cross=state.cross,
            parts=_array(own),
            tokens=torch.empty(rows, dtype=torch.int64),
            hidden=torch.empty(rows, info.heads * info.head_dim),
            looked=torch.empty(rows, state.cross[0].shape[2]),
            new=own.new_empty((len(own), rows, info.heads, info.head_dim)),
        )
        self._step.set_input_tensor(0, self._view(lent.tokens))
        for index, part in enumerate(state.cross, start=1 + len(own)):
            self._step.set_input_tensor(index, self._view(part))
        for index, tensor in enumerate((lent.hidden, lent.looked, lent.new)):
            self._step.set_output_tensor(index, self._view(tensor))
        return lent

    def decode(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return logits `[N, T, V]`; see `CaptionNetwork`."""
        return self._follow(tokens, memory)[0]

    def word_maps(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """Return where the last layer looked; see `CaptionNetwork` and `VitGpt2.word_maps`."""
        rows, columns = self._info.grid
        places = self._follow(tokens, memory)[1][..., -rows * columns :]
        places = places / places.sum(-1, keepdim=True).clamp_min(torch.finfo(places.dtype).tiny)
        return places.reshape(*tokens.shape, rows, columns)

    def _follow(self, tokens: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Feed `tokens` `[N, T]`; return logits `[N, T, V]` and looks `[N, T, S]`."""
        state = self.start(memory, tokens.shape[1])
        state.select(torch.arange(len(memory)).repeat_interleave(len(tokens) // len(memory)))
        logits, looks = [], []
        for column in tokens.unbind(1):
            logits.append(self.step(column, state))
            looks.append(cast(Tensor, state.looked).clone())
        return torch.stack(logits, 1), torch.stack(looks, 1)

    def _compile(self, path: Path, name: str, kind: str) -> Any:
        """Return a request of a graph whose keys and values, in and out, are of our type."""
        model = self._core.read_model(path)
        preprocess = import_openvino("openvino.preprocess").PrePostProcessor(model)
        if name == "pictures":
            for index in range(len(model.outputs)):
                preprocess.output(index).tensor().set_element_type(self._element)
        if name == "step":
            for index in range(1, len(model.inputs)):
                preprocess.input(index).tensor().set_element_type(self._element)
            preprocess.output(2).tensor().set_element_type(self._element)
        # Activations of int8 layers: one scale for so many of them.
        group = gcd(self._info.heads * self._info.head_dim, 256)
        how = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": kind,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Pinned, the threads of two engine processes would meet on the same cores.
            "ENABLE_CPU_PINNING": False,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
        }
        return self._core.compile_model(preprocess.build(), "CPU", how).create_infer_request()

    def _run(self, request: Any, inputs: list[Tensor], outputs: list[Tensor] | None = None) -> Any:
        """Run a graph; write its results to `outputs`, contiguous, or return its own tensors."""
        # Kept to the end of the run, which reads their memory.
        inputs = [tensor.contiguous() for tensor in inputs]
        for index, tensor in enumerate(inputs):
            request.set_input_tensor(index, self._view(tensor))
        for index, tensor in enumerate(outputs or ()):
            request.set_output_tensor(index, self._view(tensor))
        request.infer()
        return request.output_tensors

    def _view(self, tensor: Tensor) -> Any:
        """Return a tensor of OpenVINO's over the same memory."""
        element = getattr(self._openvino.Type, _OPENVINO_NAMES[tensor.dtype])
        return self._openvino.Tensor(_array(tensor), self._openvino.Shape(tensor.shape), element)


def _array(tensor: Tensor) -> NDArray[Any]:
    """Return an array over the same memory; bfloat16, which numpy does not know, as integers."""
    array: NDArray[Any] = (
        tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    ).numpy()
    return array

"""A `Decoder` that OpenVINO runs: the graphs of `openvino.parts`, in one precision. No torch.

Arrays are lent to OpenVINO, never copied: the pictures' keys and values, the slots that rows write
to, and what a step puts out stay where they are while the shapes do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.api.device import Precision
from models.api.metadata import BrokenModelError
from models.decoding.protocol import Floats, Tokens
from models.runtimes.openvino.core import computes_bf16, import_openvino, shared_core, threads
from models.runtimes.openvino.files import BEST, GraphsInfo, graph_path
from models.runtimes.processor import multiplies_bf16

Array = NDArray[Any]

_STEPS_AHEAD = 8
"""Steps that slots are there for: shapes that stay are cheap, and slots nobody wrote are not."""


@dataclass
class OpenVinoState:
    """Caches of a decode in progress. Rows are beams or samples, grouped by picture.

    A picture has slots that all its rows write to, one a row in every step, and none is moved while
    the picture is decoded: the mask says which a row descends from.

    Attributes:
        cross: per layer the pictures' keys, then values, `[P, heads, S, head_dim]`.
        own: the slots', `[2 * layers, P, heads, W, head_dim]`, zeros where nothing is written.
        mask: float32 `[P, 1, R, W]`, 0 where a row has written, -inf elsewhere.
        steps: calls of `step` that are left.
        position: number of tokens already fed.
        used: slots written.
        moved: an array is not the one that was lent.
        looked: where the last layer looked in the step before, `[N, S]`, averaged over heads; the
            next step writes over it.
    """

    cross: list[Array]
    own: Array
    mask: Floats
    steps: int
    position: int = 0
    used: int = 0
    moved: bool = True
    looked: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def select(self, rows: Tokens, pictures: Tokens | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` (indices) if given."""
        before, _, each, width = self.mask.shape
        mask = self.mask.reshape(before * each, width)[rows]
        if pictures is not None:
            self.cross = [part[pictures] for part in self.cross]
            self.own = self.own.take(pictures, 1)
            self.moved = True
        count = self.own.shape[1]
        mask = mask.reshape(count, 1, len(rows) // count, width)
        if mask.shape == self.mask.shape:
            self.mask[...] = mask
        else:
            self.mask, self.moved = mask, True

    def make_room(self, rows: int) -> None:
        """See that there is a slot for each of a picture's rows."""
        width = self.own.shape[3]
        if self.used + rows <= width:
            return
        more = self.used + rows * min(self.steps, _STEPS_AHEAD) - width
        self.own = np.pad(self.own, ((0, 0), (0, 0), (0, 0), (0, more), (0, 0)))
        self.mask = np.pad(self.mask, ((0, 0), (0, 0), (0, 0), (0, more)), constant_values=-np.inf)
        self.moved = True

    def write(self, new: Array) -> None:
        """Write a step's keys and values, `[2 * layers, P, heads, R, head_dim]`."""
        rows = new.shape[3]
        self.own[:, :, :, self.used : self.used + rows] = new
        row = np.arange(rows)
        self.mask[:, 0, row, self.used + row] = 0
        self.used += rows
        self.position += 1
        self.steps -= 1


class OpenVinoScores:
    """Logits as a `models.decoding.protocol.Scores`.

    Args:
        logits: `[N, V]`.
        total: the logarithm of the sum of their exponentials, `[N, 1]`.
        best, ids: the largest logits and their tokens, `[N, BEST]`, best first.
    """

    def __init__(self, logits: Floats, total: Floats, best: Floats, ids: Tokens) -> None:
        self._logits, self._total, self._best, self._ids = logits, total, best, ids

    def best(self, count: int) -> tuple[Floats, Tokens]:
        """Return each row's likeliest tokens; see `Scores`."""
        logits = self._logits
        count = min(count, logits.shape[1])
        if count <= self._ids.shape[1]:
            return self._best[:, :count] - self._total, self._ids[:, :count]
        part = np.argpartition(logits, logits.shape[1] - count, -1)[:, -count:]
        values = np.take_along_axis(logits, part, -1)
        order = (-values).argsort(-1, kind="stable")
        ids = np.take_along_axis(part, order, -1)
        return np.take_along_axis(values, order, -1) - self._total, ids

    def log_probs(self) -> Floats:
        """Return all log-probabilities."""
        out: Floats = self._logits - self._total
        return out


@dataclass(frozen=True)
class _Lent:
    """Arrays that one state's steps read and write while its shapes stay."""

    state: OpenVinoState
    tokens: Tokens
    position: Tokens
    hidden: Floats
    new: Array
    looked: Floats
    scores: OpenVinoScores


class OpenVinoDecoder:
    """The graphs of one model, compiled for this processor; see `Decoder`.

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
        self.precision = precision
        self.bos_id, self.eos_id = info.bos_id, info.eos_id
        self.vocab_size, self.max_tokens = info.vocab_size, info.max_tokens
        # NumPy knows no bfloat16: such arrays hold its bits, and are only ever moved.
        narrow = precision == "bf16" or (
            precision == "int8" and multiplies_bf16() and computes_bf16()
        )
        self._kept: type = np.uint16 if narrow else np.float32
        self._types = {
            np.dtype(np.uint8): self._openvino.Type.u8,
            np.dtype(np.int64): self._openvino.Type.i64,
            np.dtype(np.float32): self._openvino.Type.f32,
            np.dtype(np.uint16): self._openvino.Type.bf16,
        }
        weights: Precision = "int8" if precision == "int8" else "fp32"
        kinds = "bf16" if narrow else "f32"

        def compiled(name: str, kind: str = kinds) -> Any:
            try:
                return self._compile(graph_path(directory, name, weights), name, kind)
            except RuntimeError as error:
                raise BrokenModelError(f"the graph {name!r} cannot be read: {error}") from error

        self._encoder, self._pictures = compiled("encoder"), compiled("pictures")
        self._step = compiled("step")
        # Three digits are too few to rank words by, and a graph has one precision.
        self._words = compiled("words", "f32")
        self._lent: _Lent | None = None

    def encode(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return memory `[B, S, D]`; see `Decoder`."""
        out: Floats = np.array(self._run(self._encoder, [pixels])[0].data)
        return out

    def start(self, memory: Floats, max_steps: int) -> OpenVinoState:
        """Begin a decode with one row per picture; see `Decoder`.

        Raises:
            ValueError: `max_steps` exceeds the position table.
        """
        if max_steps > self.max_tokens:
            raise ValueError(f"max_steps must be at most {self.max_tokens}, got {max_steps}")
        info, pictures, length = self._info, len(memory), memory.shape[1]
        shape = (pictures, info.heads, length, info.head_dim)
        cross: list[Array] = [np.empty(shape, self._kept) for _ in range(2 * info.layers)]
        self._run(self._pictures, [memory], cross)
        own: Array = np.zeros((2 * info.layers, pictures, info.heads, 0, info.head_dim), self._kept)
        mask = np.zeros((pictures, 1, 1, 0), np.float32)
        return OpenVinoState(cross, own, mask, max_steps)

    def step(self, tokens: Tokens, state: OpenVinoState) -> OpenVinoScores:
        """Feed one token a row; see `Decoder`."""
        state.make_room(state.mask.shape[2])
        lent = self._lend(state)
        lent.tokens.reshape(-1)[:] = tokens
        lent.position[0] = state.position
        self._step.infer()
        state.write(lent.new)
        state.looked = lent.looked.reshape(len(tokens), -1)
        self._words.infer()
        return lent.scores

    def _lend(self, state: OpenVinoState) -> _Lent:
        """Set what a step reads and writes, unless it is this state's already."""
        lent = self._lent
        if lent is not None and lent.state is state and not state.moved:
            return lent
        info, (pictures, _, rows, _) = self._info, state.mask.shape
        shape, count = (pictures, rows), pictures * rows
        kept = min(BEST, info.vocab_size)
        words: list[Array] = [
            np.empty((*shape, info.vocab_size), np.float32),
            np.empty((*shape, 1), np.float32),
            np.empty((*shape, kept), np.float32),
            np.empty((*shape, kept), np.int64),
        ]
        logits, total, best, ids = (part.reshape(count, -1) for part in words)
        lent = self._lent = _Lent(
            state=state,
            tokens=np.empty((pictures, rows), np.int64),
            position=np.empty(1, np.int64),
            hidden=np.empty((pictures, rows, info.width), np.float32),
            new=np.empty((2 * info.layers, pictures, info.heads, rows, info.head_dim), self._kept),
            looked=np.empty((pictures, rows, state.cross[0].shape[2]), np.float32),
            scores=OpenVinoScores(logits, total, best, ids),
        )
        inputs = [lent.tokens, lent.position, state.mask, *state.own, *state.cross]
        self._bind(self._step, inputs, [lent.hidden, lent.new, lent.looked])
        self._bind(self._words, [lent.hidden], words)
        state.moved = False
        return lent

    def word_maps(self, tokens: Tokens, memory: Floats) -> Floats:
        """Return where the last layer looked; see `Decoder`.

        The weight on what stands for no place, such as class tokens, is left out.
        """
        rows, columns = self._info.grid
        places = self.follow(tokens, memory)[1][..., -rows * columns :]
        places = places / np.maximum(places.sum(-1, keepdims=True), np.finfo(np.float32).tiny)
        return places.reshape(*tokens.shape, rows, columns)

    def follow(self, tokens: Tokens, memory: Floats) -> tuple[Floats, Floats]:
        """Feed `tokens` `[N, T]`; return log-probabilities `[N, T, V]` and looks `[N, T, S]`."""
        state = self.start(memory, tokens.shape[1])
        state.select(np.arange(len(memory)).repeat(len(tokens) // len(memory)))
        scores, looks = [], []
        for column in tokens.T:
            scores.append(self.step(column, state).log_probs())
            looks.append(state.looked.copy())
        return np.stack(scores, 1), np.stack(looks, 1)

    def _compile(self, path: Path, name: str, kind: str) -> Any:
        """Return a request of a graph whose keys and values, in and out, are of our type."""
        model = self._core.read_model(path)
        element = self._types[np.dtype(self._kept)]
        preprocess = import_openvino("openvino.preprocess").PrePostProcessor(model)
        if name == "pictures":
            for index in range(len(model.outputs)):
                preprocess.output(index).tensor().set_element_type(element)
        if name == "step":
            for index in range(3, len(model.inputs)):
                preprocess.input(index).tensor().set_element_type(element)
            preprocess.output(1).tensor().set_element_type(element)
        # Activations of int8 layers: one scale for so many of them.
        group = gcd(self._info.width, 256)
        how = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": kind,
            "INFERENCE_NUM_THREADS": threads(),
            # Pinned, the threads of two engine processes would meet on the same cores.
            "ENABLE_CPU_PINNING": False,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
        }
        return self._core.compile_model(preprocess.build(), "CPU", how).create_infer_request()

    def _run(self, request: Any, inputs: list[Array], outputs: list[Array] | None = None) -> Any:
        """Run a graph; write its results to `outputs`, contiguous, or return its own tensors."""
        # Kept to the end of the run, which reads their memory.
        inputs = [np.ascontiguousarray(array) for array in inputs]
        self._bind(request, inputs, outputs or [])
        request.infer()
        return request.output_tensors

    def _bind(self, request: Any, inputs: list[Array], outputs: list[Array]) -> None:
        """Have a request read and write arrays, contiguous."""
        for index, array in enumerate(inputs):
            request.set_input_tensor(index, self._view(array))
        for index, array in enumerate(outputs):
            request.set_output_tensor(index, self._view(array))

    def _view(self, array: Array) -> Any:
        """Return a tensor of OpenVINO's over the same memory."""
        shape = self._openvino.Shape(array.shape)
        return self._openvino.Tensor(array, shape, self._types[array.dtype])

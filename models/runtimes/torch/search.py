"""Search and sampling over a network of torch: its tensors there, `models.decoding`'s arrays here.

The likeliest tokens are found where the logits are, so that from a GPU only these few come back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.decoding import beam, sampling
from models.decoding.protocol import Floats, Hypothesis, Scores, SearchSettings, Tokens
from models.layers.network_protocol import CaptionNetwork

NetworkStep = Callable[[Tensor, Any], Tensor]
"""Feeds one token a row, int64 `[N]`, and returns the next token's logits `[N, V]`."""


@dataclass
class TorchState:
    """A network's own state, whose `select` takes tensors, as a `models.decoding.protocol.State`.

    Attributes:
        inner: the network's.
        device: where it wants indices.
    """

    inner: Any
    device: torch.device

    def select(self, rows: Tokens, pictures: Tokens | None = None) -> None:
        """Make row i the former row `rows[i]`; keep only `pictures` if given."""
        kept = None if pictures is None else torch.from_numpy(pictures).to(self.device)
        with torch.inference_mode():
            self.inner.select(torch.from_numpy(rows).to(self.device), kept)


class TorchScores:
    """Logits `[N, V]` as a `models.decoding.protocol.Scores`."""

    def __init__(self, logits: Tensor) -> None:
        self._log_probs = logits.float().log_softmax(-1)

    def best(self, count: int) -> tuple[Floats, Tokens]:
        """Return each row's likeliest tokens; see `Scores`."""
        found = self._log_probs.topk(min(count, self._log_probs.shape[-1]), -1)
        return found.values.cpu().numpy(), found.indices.cpu().numpy()

    def log_probs(self) -> Floats:
        """Return all log-probabilities."""
        out: Floats = self._log_probs.cpu().numpy()
        return out


@dataclass(frozen=True)
class TorchStep:
    """A network's step as a `models.decoding.protocol.Step`."""

    step: NetworkStep

    def __call__(self, tokens: Tokens, state: TorchState) -> Scores:
        """Advance `state` by one token a row."""
        with torch.inference_mode():
            return TorchScores(self.step(torch.from_numpy(tokens).to(state.device), state.inner))


class TorchDecoder:
    """A `CaptionNetwork` as a `models.decoding.protocol.Decoder`."""

    def __init__(self, network: CaptionNetwork) -> None:
        self.network = network
        self.bos_id, self.eos_id = network.bos_id, network.eos_id

    @property
    def max_tokens(self) -> int:
        """Longest caption in tokens, end token included."""
        return self.network.max_tokens

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return memory `[B, S, D]`; see `Decoder`."""
        return self.network.encode(torch.from_numpy(pixels).to(self.network.device))

    @torch.inference_mode()
    def start(self, memory: Tensor, max_steps: int) -> TorchState:
        """Begin a decode; see `Decoder`."""
        return TorchState(self.network.start(memory, max_steps), memory.device)

    def step(self, tokens: Tokens, state: TorchState) -> Scores:
        """Feed one token a row; see `Decoder`."""
        return TorchStep(self.network.step)(tokens, state)

    @torch.inference_mode()
    def word_maps(self, tokens: Tokens, memory: Tensor) -> Floats:
        """Return where the decoder looked; see `Decoder`."""
        found = self.network.word_maps(torch.from_numpy(tokens).to(memory.device), memory)
        out: Floats = found.float().cpu().numpy()
        return out


def beam_search(
    step: NetworkStep, state: Any, batch: int, settings: SearchSettings, device: torch.device
) -> list[list[Hypothesis]]:
    """Search as `models.decoding.beam.beam_search` does, over a network of torch.

    Args:
        step, state: the network's own.
        batch, settings: of the search.
        device: where `step` wants its tokens.
    """
    return beam.beam_search(TorchStep(step), TorchState(state, device), batch, settings)


def sample(
    step: NetworkStep,
    state: Any,
    batch: int,
    settings: SearchSettings,
    device: torch.device,
    seeds: Sequence[int],
) -> list[list[Hypothesis]]:
    """Draw as `models.decoding.sampling.sample` does, over a network of torch.

    Args:
        step, state, batch, settings, device: as for `beam_search`.
        seeds: one per picture.
    """
    return sampling.sample(TorchStep(step), TorchState(state, device), batch, settings, seeds)

"""Exponential moving average of a network's weights, which is what gets validated and kept.

Averaged weights score better than the last step's, most of all at a high learning rate (Polyak and
Juditsky 1992; Tarvainen and Valpola 2017 for the exponential form).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

FILE_NAME = "average.safetensors"

_Tensors: TypeAlias = list[Tensor] | tuple[Tensor, ...]


class WeightAverage:
    """The moving average of a network.

    Args:
        network: whose weights are averaged; the average begins as its present ones.
        decay: weight of the past at every step, 0..1. In the first steps it is smaller,
            `(1 + n) / (10 + n)` after n of them, so that the beginning is soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._averaged = AveragedModel(network, multi_avg_fn=self._blend)

    def update(self) -> None:
        """Take the network's present weights in; after each optimiser step."""
        self._averaged.update_parameters(self._network)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the network carry the averaged weights for a while."""
        own = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self._averaged.module.state_dict())
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def save(self, folder: Path) -> None:
        """Write the average into a checkpoint's folder."""
        state = self._averaged.state_dict()
        # The file format wants rows in order; convolutions may be channels-last.
        # It refuses two names for one tensor, too: an embedding that is the output layer as well.
        apart = {name: part.contiguous().clone() for name, part in state.items()}
        save_file(apart, folder / FILE_NAME)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises:
            OSError, RuntimeError: there is none, or it is another network's.
        """
        self._averaged.load_state_dict(load_file(folder / FILE_NAME))

    def _blend(self, averaged: _Tensors, present: _Tensors, count: Tensor | int) -> None:
        steps = float(count)
        decay = min(self._decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(averaged, present, 1 - decay)


def averaged_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the averaged weights by the network's own names, from what `save` wrote.

    Raises:
        OSError: there is none.
    """
    prefix = "module."
    found = load_file(folder / FILE_NAME)
    return {n.removeprefix(prefix): part for n, part in found.items() if n.startswith(prefix)}

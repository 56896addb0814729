"""What a network's training pass returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.utils.generic import ModelOutput
from transformers.utils.logging import disable_progress_bar

# A progress bar over a file that takes a second is noise in every log.
disable_progress_bar()


@dataclass
class CaptionOutput(ModelOutput):
    """Result of a training forward pass.

    Attributes:
        loss: scalar mean negative log-likelihood per counted token, in nats (label smoothing
            included when asked for).
        logits: `[B, C, T, vocab_size]`; the never-produced ids are -inf.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None

"""Start value of the vocabulary bias: how often each word occurs (TF tutorial's "smart" output)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

from models.captioners.cnn_transformer.tokenizer import EOS_ID, NUM_NEVER_PRODUCED, CaptionTokenizer


def log_frequencies(tokenizer: CaptionTokenizer, captions: Iterable[str]) -> Tensor:
    """Return `log p(token)` over the training captions, float32 `[V]`; 0 for never-produced ids.

    A network that starts there begins at the entropy of single words instead of at log V, which
    saves the first few hundred steps.
    """
    counts: Counter[int] = Counter()
    for caption in captions:
        counts.update(tokenizer.encode(caption))
        counts[EOS_ID] += 1
    produced = range(NUM_NEVER_PRODUCED, len(tokenizer))
    # Every word of the vocabulary occurs, but for a user's own vocabulary one may not.
    frequencies = torch.tensor([max(counts[i], 1) for i in produced], dtype=torch.float64)
    bias = torch.zeros(len(tokenizer))
    bias[NUM_NEVER_PRODUCED:] = (frequencies / frequencies.sum()).log().float()
    return bias

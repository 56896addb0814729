"""Special tokens of every word vocabulary made here. No torch, no transformers."""

from __future__ import annotations

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3

NUM_NEVER_PRODUCED = 3
"""Padding, unknown and start: the first ids, which no caption ever contains."""

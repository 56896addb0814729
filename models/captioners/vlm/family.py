"""What a family of transformers captioners has to say for itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from models.api.metadata import vocabulary_hash
from models.api.options import DecodeDefaults, UnsupportedValueError
from models.api.preprocessing import PreprocessSpec
from models.captioners.vlm.step import NetworkStep, Prefill
from models.checkpoints.preprocessor_config import read_spec

METHOD = "image-text-to-text"
"""The method that the families make up."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Family(ABC):
    """A network and its tokenizer, and the conventions between them.

    Args:
        network: in evaluation mode.
        tokenizer: a transformers tokenizer.
    """

    decode: ClassVar[DecodeDefaults]
    """Decoding settings where a checkpoint does not bring its own."""

    ids_name: ClassVar[str] = "input_ids"
    """The forward argument that takes the caption's tokens."""

    mixes_prompts: ClassVar[bool] = False
    """Whether pictures of one batch may have prompts of different lengths."""

    def __init__(self, network: PreTrainedModel, tokenizer: Any) -> None:
        self.network: Any = network
        self.tokenizer = tokenizer
        self.config: Any = network.config

    @classmethod
    @abstractmethod
    def default_spec(cls, config: Any) -> PreprocessSpec:
        """Return the preprocessing of a network whose image processor has no settings.

        Args:
            config: the network's configuration.
        """

    def spec(self, settings: dict[str, Any]) -> PreprocessSpec:
        """Return how pictures reach the network.

        Args:
            settings: of the image processor, see `read_content` of
                `models.checkpoints.preprocessor_config`.

        Raises:
            ModelImportError: `settings` cannot be followed.
        """
        return read_spec(settings, self.default_spec(self.config))

    def notes(self, settings: dict[str, Any]) -> list[str]:
        """Return what a user should know of how such a model is used here, a sentence each."""
        del settings
        return []

    @abstractmethod
    def prefill(self, pixel_values: Tensor, prompts: Sequence[str | None]) -> Prefill:
        """Return what the network reads first.

        Args:
            pixel_values: `[B, 3, H, W]`, normalised.
            prompts: of each picture, the user's or the model's own; None where the family needs
                none. All the same, unless the family `mixes_prompts`.

        Raises:
            UnsupportedValueError: the prompt cannot be used.
        """

    @abstractmethod
    def text(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return what a decoded caption says, before any tidying."""

    @property
    def decoder(self) -> Any:
        """What is called at every step."""
        return self.network

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Ids that end a caption; at least one."""
        for holder in (self.network.generation_config, self.config.get_text_config()):
            found = getattr(holder, "eos_token_id", None)
            if found is not None:
                return tuple(found) if isinstance(found, (list, tuple)) else (found,)
        return (self.tokenizer.eos_token_id,)

    @property
    def step(self) -> NetworkStep:
        """How the network is stepped."""
        return NetworkStep(self.decoder, self.next_inputs, self.end_ids)

    def next_inputs(self, tokens: Tensor, position: int) -> dict[str, Any]:
        """Return the arguments of one later pass; `tokens` is int64 `[N, 1]`."""
        del position
        return {self.ids_name: tokens}

    def prompt_ids(self, prompt: str, room: int, **options: Any) -> list[int]:
        """Return a prompt's ids without the tokenizer's own additions.

        Args:
            prompt: what the user wrote.
            room: tokens that it may have.
            options: for the tokenizer.

        Raises:
            UnsupportedValueError: it is too long, or holds one of the tokenizer's markers.
        """
        self.check_prompt(prompt)
        ids: list[int] = self.tokenizer(prompt, add_special_tokens=False, **options)["input_ids"]
        if len(ids) > room:
            raise UnsupportedValueError(
                "prompt", METHOD, f"{len(ids)} tokens, and this model has room for {room}"
            )
        return ids

    def check_prompt(self, prompt: str) -> None:
        """Raise `UnsupportedValueError` for a prompt that holds one of the tokenizer's markers."""
        for marker in self.tokenizer.added_tokens_encoder:
            if marker.strip() and marker in prompt:
                raise UnsupportedValueError("prompt", METHOD, f"{marker!r} is a marker, not a word")

    def vocabulary_hash(self) -> str:
        """Return a hash of all words; see `models.api.metadata.vocabulary_hash`."""
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        return vocabulary_hash(sorted(vocabulary, key=lambda word: (vocabulary[word], word)))

    def decoded(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens left out."""
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def continued(self, prompt: str | None, tokens: Sequence[int]) -> str:
        """Return a prompt and its continuation; of a question the answer only."""
        if not prompt or prompt.rstrip().endswith((":", "?")):
            return self.decoded(tokens)
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return self.decoded([*ids, *tokens])


def repeat_ids(ids: Sequence[int], pictures: Tensor) -> Tensor:
    """Return `ids` as int64 `[B, len(ids)]`, where `pictures` `[B, ...]` are."""
    row = torch.tensor([list(ids)], dtype=torch.int64, device=pictures.device)
    return row.expand(len(pictures), -1)


def padded_ids(rows: Sequence[Sequence[int]], pictures: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return ids of each picture as int64 `[B, T]`, the shorter ones padded on the left.

    Returns:
        The ids, and how many of each row are padding, int64 `[B]`; None where none is. What stands
        there, the row's last id, is never looked at.
    """
    longest = max(map(len, rows))
    ids = [[row[-1]] * (longest - len(row)) + list(row) for row in rows]
    padding = [longest - len(row) for row in rows]
    device = pictures.device
    if not any(padding):
        return torch.tensor(ids, dtype=torch.int64, device=device), None
    return (
        torch.tensor(ids, dtype=torch.int64, device=device),
        torch.tensor(padding, dtype=torch.int64, device=device),
    )

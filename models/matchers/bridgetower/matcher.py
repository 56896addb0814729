"""`bridgetower`: image–text matching (Xu et al., 2023, "BridgeTower"; transformers' weights)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BridgeTowerForImageAndTextRetrieval, RobertaTokenizer

from models.api import metadata as metadata_module
from models.api.device import CPU, Device
from models.api.matcher import Matcher, TextTooLongError
from models.api.metadata import BrokenModelError, ModelMetadata
from models.api.preprocessing import normalisation
from models.matchers.bridgetower.towers import States, Towers, attention_mask

_IMAGES_AT_ONCE = 8
_PAIRS_AT_ONCE = 16
"""More gain nothing on a CPU and take memory: some 30 MB a pair at base size."""

_MATCHES = 1
"""Which of the two logits says that the text belongs to the picture."""


class BridgeTowerMatcher(Matcher):
    """A BridgeTower with its RoBERTa tokenizer.

    Args:
        network: in evaluation mode from here on; with eager attention.
        tokenizer: the one it was trained with.
        metadata: has the preprocess spec.

    Raises:
        BrokenModelError: preprocess spec and network do not fit together.
    """

    method: ClassVar[str] = "bridgetower"

    def __init__(
        self,
        network: BridgeTowerForImageAndTextRetrieval,
        tokenizer: RobertaTokenizer,
        metadata: ModelMetadata,
    ) -> None:
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.preprocess = spec = metadata.preprocess
        config: Any = network.config
        side = config.vision_config.image_size
        if (spec.height, spec.width) != (side, side):
            raise BrokenModelError(
                f"the network reads pictures of {side} x {side} pixels, the preprocess spec makes "
                f"them {spec.width} x {spec.height}"
            )
        if len(tokenizer) > config.text_config.vocab_size:
            raise BrokenModelError(
                f"the tokenizer has {len(tokenizer)} tokens, the network "
                f"{config.text_config.vocab_size}"
            )
        text = config.text_config
        # RoBERTa numbers positions from the one after that of padding.
        positions = text.max_position_embeddings - text.pad_token_id - 1
        self.max_tokens = min(positions, tokenizer.model_max_length) - 2
        self._towers = Towers(network)
        self._device: torch.device = network.device
        scale, offset = (torch.from_numpy(v).to(self._device) for v in normalisation(spec))
        self._scale, self._offset = scale[:, None, None], offset[:, None, None]  # [3, 1, 1]

    @classmethod
    def load(cls, directory: Path, device: Device = CPU) -> Self:
        """Load a model directory; see `Matcher.load`. Weights are read as float32."""
        metadata = metadata_module.read(directory)
        try:
            loaded: Any = BridgeTowerForImageAndTextRetrieval.from_pretrained(
                directory,
                dtype=torch.float32,
                local_files_only=True,
                attn_implementation="eager",
                output_loading_info=True,
            )
            tokenizer = RobertaTokenizer.from_pretrained(directory, local_files_only=True)
        except Exception as error:  # safetensors, transformers and torch raise many kinds
            raise BrokenModelError(f"the model's files cannot be read: {error}") from error
        network, loading = loaded
        missing = sorted(loading["missing_keys"])
        if missing:
            raise BrokenModelError(
                f"the weights lack {missing[0]} and {len(missing) - 1} more: not a BridgeTower "
                "for image-text matching"
            )
        return cls(network.to(device.name), tokenizer, metadata)

    def check_text(self, text: str) -> None:
        """Raise `TextTooLongError` if `text` is too long; see `Matcher.check_text`."""
        self._encode(text)

    def score(self, pixels: NDArray[np.uint8], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """Score how well texts fit pictures; see `Matcher.score`."""
        self.check_batch(pixels, texts)
        pairs = [
            (owner, place, self._encode(text))
            for owner, group in enumerate(texts)
            for place, text in enumerate(group)
        ]
        scores = [[0.0] * len(group) for group in texts]
        with torch.inference_mode():
            images = self._images(pixels)
            # Texts of like length together: a padded one costs as much as the longest beside it.
            pairs.sort(key=lambda pair: len(pair[2]))
            for chunk in _chunks(pairs, _PAIRS_AT_ONCE):
                owners = torch.tensor([owner for owner, _, _ in chunk], device=self._device)
                found = self._score([ids for _, _, ids in chunk], images, owners)
                for (owner, place, _), score in zip(chunk, found, strict=True):
                    scores[owner][place] = score
        return scores

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text)["input_ids"]
        if len(ids) - 2 > self.max_tokens:
            raise TextTooLongError(len(ids) - 2, self.max_tokens)
        return ids

    def _images(self, pixels: NDArray[np.uint8]) -> States:
        parts = []
        for start in range(0, len(pixels), _IMAGES_AT_ONCE):
            part = torch.from_numpy(pixels[start : start + _IMAGES_AT_ONCE])
            part = part.to(self._device).float()
            parts.append(self._towers.images(part * self._scale + self._offset))
        return [torch.cat(layer) for layer in zip(*parts, strict=True)]

    def _score(self, texts: list[list[int]], images: States, owners: torch.Tensor) -> list[float]:
        ids = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(text) for text in texts],
            batch_first=True,
            padding_value=self.network.config.text_config.pad_token_id,
        ).to(self._device)  # [P, T]
        lengths = torch.tensor([len(text) for text in texts])
        present = torch.arange(ids.shape[1]) < lengths[:, None]
        mask = attention_mask(present.to(self._device))
        logits = self._towers.pairs(images, owners, self._towers.texts(ids, mask), mask)  # [P, 2]
        scores: list[float] = logits.softmax(-1)[:, _MATCHES].tolist()
        return scores


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

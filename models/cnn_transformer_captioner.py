"""The captioners built on `CnnTransformer`: load a directory, caption a batch."""

from __future__ import annotations

import math
import secrets
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from models import metadata as metadata_module
from models.catalogue import honoured_options
from models.cnn_transformer import CnnTransformer
from models.cnn_transformer_config import BOS_ID, EOS_ID
from models.decoding import Hypothesis, SearchSettings, beam_search, sample
from models.interface import Caption, Captioner, CaptionOptions, WordAttention
from models.metadata import BrokenModelError, ModelMetadata
from models.tokenizer import CaptionTokenizer


class CnnTransformerCaptioner(Captioner):
    """A `CnnTransformer` with its tokenizer and settings.

    Args:
        network: in evaluation mode from here on.
        tokenizer: the vocabulary it was trained with.
        metadata: preprocess spec and decode defaults.

    Raises:
        BrokenModelError: vocabulary and network do not fit together.
    """

    method: ClassVar[str]

    def __init__(
        self, network: CnnTransformer, tokenizer: CaptionTokenizer, metadata: ModelMetadata
    ) -> None:
        if len(tokenizer) != network.config.vocab_size:
            raise BrokenModelError(
                f"the vocabulary has {len(tokenizer)} tokens, the network "
                f"{network.config.vocab_size}"
            )
        expected = metadata.vocabulary_sha256
        if expected and expected != tokenizer.vocabulary_hash():
            raise BrokenModelError("tokenizer.json is not the vocabulary this model learnt with")
        self.honours = honoured_options(metadata)
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.preprocess = metadata.preprocess
        self.defaults = metadata.decode

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load a model directory; see `Captioner.load`. Weights are read as float32."""
        metadata = metadata_module.read(directory)
        try:
            network = CnnTransformer.from_pretrained(
                directory, dtype=torch.float32, local_files_only=True
            )
            tokenizer = CaptionTokenizer.load(directory)
        except Exception as error:  # safetensors, transformers and torch raise many kinds
            raise BrokenModelError(f"the model's files cannot be read: {error}") from error
        trunk: Any = network.trunk
        trunk.to(memory_format=torch.channels_last)
        return cls(network, tokenizer, metadata)

    def settings(self, options: CaptionOptions) -> SearchSettings:
        """Return the decode settings of `options` with the model's defaults filled in."""
        defaults = self.defaults
        wanted = options.num_captions or defaults.num_captions
        sampling = options.temperature is not None
        return SearchSettings(
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            max_tokens=min(
                options.max_length or defaults.max_length, self.network.config.max_positions - 1
            ),
            num_return=wanted,
            num_beams=1 if sampling else max(options.num_beams or defaults.num_beams, wanted),
            length_penalty=(
                defaults.length_penalty
                if options.length_penalty is None
                else options.length_penalty
            ),
            temperature=options.temperature or 1.0,
            top_p=options.top_p or defaults.top_p,
            no_repeat_ngram=defaults.no_repeat_ngram,
        )

    def caption(self, pixels: NDArray[np.uint8], options: CaptionOptions) -> list[list[Caption]]:
        """Caption a batch; see `Captioner.caption`."""
        self.check_options(options)
        self.check_pixels(pixels)
        with torch.inference_mode():
            memory = self.network.encode(torch.from_numpy(pixels))
            hypotheses = self._decode(memory, options)
            words = self._words(memory, hypotheses) if options.attention else None
        out = []
        for index, group in enumerate(hypotheses):
            captions = [self._caption(hypothesis) for hypothesis in group]
            if words is not None:
                for caption, maps in zip(captions, words[index], strict=True):
                    caption.words = maps
            out.append(captions)
        return out

    def _decode(self, memory: torch.Tensor, options: CaptionOptions) -> list[list[Hypothesis]]:
        settings = self.settings(options)
        state = self.network.start(memory, settings.max_tokens)
        if options.temperature is None:
            return beam_search(self.network.step, state, len(memory), settings, memory.device)
        # Without a seed every picture of every request draws afresh.
        seeds = [
            secrets.randbits(63) if options.seed is None else options.seed
            for _ in range(len(memory))
        ]
        return sample(self.network.step, state, len(memory), settings, memory.device, seeds)

    def _caption(self, hypothesis: Hypothesis) -> Caption:
        mean = hypothesis.log_prob / max(len(hypothesis.tokens), 1)
        return Caption(
            text=self.tokenizer.sentence(hypothesis.tokens),
            log_prob=hypothesis.log_prob,
            confidence=min(1.0, math.exp(mean)),
        )

    def _words(
        self, memory: torch.Tensor, hypotheses: list[list[Hypothesis]]
    ) -> list[list[list[WordAttention]]]:
        """Return, per picture and caption, where the last layer looked for each word."""
        rows, columns = self.network.grid
        out = []
        for index, group in enumerate(hypotheses):
            captions = []
            for hypothesis in group:
                inputs = torch.tensor([[BOS_ID, *hypothesis.tokens[:-1]]], device=memory.device)
                maps: list[torch.Tensor] = []
                self.network.decode(inputs, memory[index : index + 1], maps)
                grid = maps[-1][0].reshape(-1, rows, columns)  # [T, rows, columns]
                captions.append(
                    [
                        WordAttention(word=word, attention=grid[positions].mean(0).tolist())
                        for word, positions in self.tokenizer.sentence_spans(hypothesis.tokens)
                    ]
                )
            out.append(captions)
        return out


class CompactCaptioner(CnnTransformerCaptioner):
    """`compact`, the embedded default."""

    method = "compact"


class TfTutorialCaptioner(CnnTransformerCaptioner):
    """`tf-tutorial`."""

    method = "tf-tutorial"


class KerasExampleCaptioner(CnnTransformerCaptioner):
    """`keras-example`."""

    method = "keras-example"

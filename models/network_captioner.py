"""The captioner around any `CaptionNetwork`: options, search or sampling, scores, attention."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.caption_network import CaptionNetwork
from models.catalogue import honoured_options
from models.decoding import Hypothesis, SearchSettings, beam_search, sample
from models.distinct import distinct_candidates
from models.interface import Caption, Captioner, CaptionOptions, WordAttention
from models.metadata import BrokenModelError, ModelMetadata

_SEED_STEP = 0x9E3779B97F4A7C15
"""Between the seeds of one picture's rounds of sampling."""


class CaptionVocabulary(Protocol):
    """Turns token ids into sentences."""

    def __len__(self) -> int:
        """Return the vocabulary's size, special tokens included."""

    def sentence(self, ids: Sequence[int]) -> str:
        """Return ids as a sentence for people."""

    def sentence_spans(self, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
        """Return the sentence's words, each with the positions of its tokens in `ids`."""

    def vocabulary_hash(self) -> str:
        """Return a hash of all tokens in id order."""


class NetworkCaptioner(Captioner):
    """A network with its tokenizer and settings.

    Args:
        network: in evaluation mode.
        tokenizer: the vocabulary it was trained with.
        metadata: preprocess spec and decode defaults.

    Raises:
        BrokenModelError: the vocabulary is not the one the metadata names.
    """

    method: ClassVar[str]

    def __init__(
        self, network: CaptionNetwork, tokenizer: CaptionVocabulary, metadata: ModelMetadata
    ) -> None:
        expected = metadata.vocabulary_sha256
        if expected and expected != tokenizer.vocabulary_hash():
            raise BrokenModelError("tokenizer.json is not the vocabulary this model learnt with")
        self.honours = honoured_options(metadata)
        self.network = network
        self.tokenizer = tokenizer
        self.preprocess = metadata.preprocess
        self.defaults = metadata.decode

    def settings(self, options: CaptionOptions) -> SearchSettings:
        """Return the decode settings of `options` with the model's defaults filled in.

        `num_return` is what one search or drawing looks for, which repeats may lessen.
        """
        defaults = self.defaults
        wanted = options.num_captions or defaults.num_captions
        sampling = options.temperature is not None
        beams = 1 if sampling else max(options.num_beams or defaults.num_beams, wanted)
        return SearchSettings(
            bos_id=self.network.bos_id,
            eos_id=self.network.eos_id,
            max_tokens=min(options.max_length or defaults.max_length, self.network.max_tokens),
            # Where several are wanted, all that a search has found: some may read alike.
            num_return=wanted if sampling or wanted == 1 else beams,
            num_beams=beams,
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
            with self.stage("encode"):
                memory = self.network.encode(torch.from_numpy(pixels))
            with self.stage("decode"):
                hypotheses = self._decode(memory, options)
            words = self._words(memory, hypotheses) if options.attention else None
        out = []
        for index, group in enumerate(hypotheses):
            self.count_tokens(sum(len(hypothesis.tokens) for hypothesis in group))
            captions = [self._caption(hypothesis) for hypothesis in group]
            if words is not None:
                for caption, maps in zip(captions, words[index], strict=True):
                    caption.words = maps
            out.append(captions)
        return out

    def _decode(self, memory: torch.Tensor, options: CaptionOptions) -> list[list[Hypothesis]]:
        """Return the different captions wanted of each picture of memory `[B, S, D]`."""
        settings = self.settings(options)
        sampling = options.temperature is not None
        # Without a seed every picture of every request draws afresh.
        seeds = [
            secrets.randbits(63) if options.seed is None else options.seed
            for _ in range(len(memory))
        ]

        def look(pictures: Sequence[int], attempt: int) -> list[list[Hypothesis]]:
            part = memory if len(pictures) == len(memory) else memory[list(pictures)]
            state = self.network.start(part, settings.max_tokens)
            if sampling:
                own = [(seeds[i] + attempt * _SEED_STEP) % 2**63 for i in pictures]
                return sample(self.network.step, state, len(part), settings, memory.device, own)
            beams = settings.num_beams * 2**attempt
            how = replace(
                settings, num_beams=beams, num_return=beams if attempt else settings.num_return
            )
            return beam_search(self.network.step, state, len(part), how, memory.device)

        return distinct_candidates(
            look,
            batch=len(memory),
            wanted=options.num_captions or self.defaults.num_captions,
            text=lambda hypothesis: self.tokenizer.sentence(hypothesis.tokens),
            score=lambda hypothesis: hypothesis.log_prob if sampling else hypothesis.score,
        )

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
        """Return, per picture and caption, where the decoder looked for each word."""
        out = []
        for index, group in enumerate(hypotheses):
            captions = []
            for hypothesis in group:
                start = self.network.bos_id
                inputs = torch.tensor([[start, *hypothesis.tokens[:-1]]], device=memory.device)
                maps = self.network.word_maps(inputs, memory[index : index + 1])[0]
                captions.append(
                    [
                        WordAttention(word=word, attention=maps[positions].mean(0).tolist())
                        for word, positions in self.tokenizer.sentence_spans(hypothesis.tokens)
                    ]
                )
            out.append(captions)
        return out

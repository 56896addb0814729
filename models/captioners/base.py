"""The captioner around any `Decoder`: options, search or sampling, scores, attention. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from models.api.captioner import Captioner
from models.api.metadata import ModelMetadata
from models.api.options import DECODING_OPTIONS, CaptionOptions
from models.api.results import Caption, WordAttention
from models.decoding.candidates import as_caption, find_captions, search_settings
from models.decoding.protocol import Decoder, Hypothesis, SearchSettings


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
    """A network with its tokenizer and settings, on whatever runs it.

    Args:
        decoder: the network, ready to decode.
        tokenizer: the vocabulary it was trained with.
        metadata: preprocess spec and decode defaults.

    Raises:
        BrokenModelError: the vocabulary is not the one the metadata names.
    """

    method: ClassVar[str]
    honours = DECODING_OPTIONS | {"attention"}

    def __init__(
        self, decoder: Decoder, tokenizer: CaptionVocabulary, metadata: ModelMetadata
    ) -> None:
        metadata.check_vocabulary(tokenizer.vocabulary_hash())
        self.honours = metadata.honoured(self.honours)
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.preprocess = metadata.preprocess
        self.defaults = metadata.decode

    def settings(self, options: CaptionOptions) -> SearchSettings:
        """Return the decode settings of `options`; see `search_settings`."""
        decoder = self.decoder
        return search_settings(
            options, self.defaults, decoder.bos_id, decoder.eos_id, decoder.max_tokens
        )

    def caption(
        self, pixels: NDArray[np.uint8], options: CaptionOptions | Sequence[CaptionOptions]
    ) -> list[list[Caption]]:
        """Caption a batch; see `Captioner.caption`."""
        each = self.options_of_each(pixels, options)
        with self.stage("encode"):
            memory = self.decoder.encode(pixels)
        with self.stage("decode"):
            hypotheses = self._decode(memory, each)
        words = self._words(memory, hypotheses) if each[0].attention else None
        out = []
        for index, group in enumerate(hypotheses):
            captions = [self._caption(hypothesis) for hypothesis in group]
            if words is not None:
                for caption, maps in zip(captions, words[index], strict=True):
                    caption.words = maps
            out.append(captions)
        return out

    def _decode(self, memory: Any, each: Sequence[CaptionOptions]) -> list[list[Hypothesis]]:
        """Return the different captions wanted of each picture."""
        options = each[0]
        settings = self.settings(options)

        def begin(pictures: Sequence[int]) -> Any:
            part = memory if len(pictures) == len(memory) else memory[list(pictures)]
            return self.decoder.start(part, settings.max_tokens)

        return find_captions(
            self.decoder.step,
            begin,
            options=each,
            settings=settings,
            wanted=options.num_captions or self.defaults.num_captions,
            text=lambda hypothesis: self.tokenizer.sentence(hypothesis.tokens),
        )

    def _caption(self, hypothesis: Hypothesis) -> Caption:
        text = self.tokenizer.sentence(hypothesis.tokens)
        return as_caption(text, hypothesis, self.decoder.eos_id)

    def _words(
        self, memory: Any, hypotheses: list[list[Hypothesis]]
    ) -> list[list[list[WordAttention]]]:
        """Return, per picture and caption, where the decoder looked for each word."""
        out = []
        for index, group in enumerate(hypotheses):
            captions = []
            for hypothesis in group:
                inputs = np.array([[self.decoder.bos_id, *hypothesis.tokens[:-1]]], np.int64)
                maps = self.decoder.word_maps(inputs, memory[index : index + 1])[0]
                captions.append(
                    [
                        WordAttention(word=word, attention=maps[positions].mean(0).tolist())
                        for word, positions in self.tokenizer.sentence_spans(hypothesis.tokens)
                    ]
                )
            out.append(captions)
        return out

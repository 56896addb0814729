"""CIDEr-D as a reward: fast, in process, over any hashable tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ngram = tuple[Hashable, ...]

_LONGEST = 4  # n-grams of 1 to 4 tokens
_SIGMA = 6.0  # width of the penalty on a difference in length, in tokens


class _Vector(NamedTuple):
    """One caption's tf-idf weights, with the norms per n-gram length."""

    weights: list[dict[Ngram, float]]
    norms: list[float]
    length: int


class CiderReferences(NamedTuple):
    """One image's references, made ready by `CiderD.precompute`."""

    vectors: list[_Vector]


class CiderD:
    """CIDEr-D (Vedantam et al. 2015, section 5.3): sigma 6, n-grams of 1 to 4, counts clipped.

    Scores lie in 0..10. With `document_frequencies` counted over the very references scored
    against, they equal those of pycocoevalcap's `Cider` (which, by its name notwithstanding,
    computes CIDEr-D). For self-critical training (Rennie et al. 2017) count them over the training
    references instead, so that a reward does not depend on the batch.

    `document_frequencies[ngram]` is the number of images with the n-gram in at least one reference,
    `num_documents` (at least 1) the number of images. With one image every weight, and so every
    score, is 0. Raises ValueError for `num_documents` below 1 or below a frequency.
    """

    def __init__(self, document_frequencies: Mapping[Ngram, int], num_documents: int) -> None:
        if num_documents < 1:
            raise ValueError(f"num_documents must be at least 1, not {num_documents}")
        if max(document_frequencies.values(), default=0) > num_documents:
            raise ValueError(f"an n-gram occurs in more than {num_documents} documents")
        self.document_frequencies = dict(document_frequencies)
        self.num_documents = num_documents
        self._log_documents = math.log(num_documents)
        self._idf = {
            ngram: self._log_documents - math.log(max(1, count))
            for ngram, count in self.document_frequencies.items()
        }

    @classmethod
    def from_references(cls, references: Iterable[Sequence[Sequence[Hashable]]]) -> CiderD:
        """Count document frequencies over images, each a sequence of tokenised captions."""
        frequencies: Counter[Ngram] = Counter()
        images = 0
        for captions in references:
            images += 1
            frequencies.update({ngram for tokens in captions for ngram in _ngrams(tokens)})
        return cls(frequencies, images)

    def precompute(self, references: Sequence[Sequence[Hashable]]) -> CiderReferences:
        """Make one image's tokenised references ready for `score`.

        Raises ValueError without a reference.
        """
        if not references:
            raise ValueError("no references")
        return CiderReferences([self._vector(tokens) for tokens in references])

    def score(
        self,
        hypotheses: Sequence[Sequence[Hashable]],
        references: Sequence[CiderReferences],
    ) -> NDArray[np.float32]:
        """Score `hypotheses[i]` (tokens) against `references[i]`; float32 of shape [N] in 0..10.

        Several hypotheses of one image: repeat its references. Raises ValueError where the
        numbers differ.
        """
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses but references of {len(references)}")
        scores = np.empty(len(hypotheses), dtype=np.float32)
        for i, (tokens, image) in enumerate(zip(hypotheses, references, strict=True)):
            scores[i] = self._score_one(tokens, image.vectors)
        return scores

    def _score_one(self, tokens: Sequence[Hashable], references: list[_Vector]) -> float:
        hypothesis = self._vector(tokens)
        total = 0.0
        for reference in references:
            difference = hypothesis.length - reference.length
            similarity = 0.0
            for n in range(_LONGEST):
                norms = hypothesis.norms[n] * reference.norms[n]
                if norms == 0.0:
                    continue
                theirs = reference.weights[n]
                # Clipping: a hypothesis gains nothing by saying an n-gram more often than they do.
                product = 0.0
                for ngram, weight in hypothesis.weights[n].items():
                    if (other := theirs.get(ngram)) is not None:
                        product += (weight if weight < other else other) * other
                similarity += product / norms
            total += similarity * math.exp(-(difference**2) / (2 * _SIGMA**2))
        return 10.0 * total / (_LONGEST * len(references))

    def _vector(self, tokens: Sequence[Hashable]) -> _Vector:
        weights: list[dict[Ngram, float]] = [{} for _ in range(_LONGEST)]
        # An n-gram that no reference has counts as if one document had it.
        unseen, idf = self._log_documents, self._idf
        for ngram, count in _ngrams(tokens).items():
            weights[len(ngram) - 1][ngram] = count * idf.get(ngram, unseen)
        norms = [math.sqrt(sum(w * w for w in of_n.values())) for of_n in weights]
        # The "length" is the number of bigrams, here as in the authors' code.
        return _Vector(weights, norms, max(0, len(tokens) - 1))


def _ngrams(tokens: Sequence[Hashable]) -> Counter[Ngram]:
    tokens = tuple(tokens)
    found: Counter[Ngram] = Counter()
    for n in range(1, _LONGEST + 1):
        found.update(zip(*(tokens[i:] for i in range(n)), strict=False))
    return found

"""Word tokenizer of the caption decoders: trained on captions, saved with the model.

Words are lower-cased, punctuation is dropped, hyphens and apostrophes inside words stay, "'s" is a
token of its own. Any script with blanks between words works: letters are Unicode letters. Built on
the `tokenizers` library; the file is an ordinary `tokenizer.json`. No torch, no transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

from models.api.metadata import vocabulary_hash

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3

NUM_NEVER_PRODUCED = 3
"""Padding, unknown and start: the first ids, which no caption ever contains."""

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
FILE_NAME = "tokenizer.json"
_POSSESSIVE = "'s"


class CaptionTokenizer:
    """Text to ids and back.

    Args:
        tokenizer: a word-level tokenizer whose first four ids are `SPECIAL_TOKENS`.

    Raises:
        ValueError: the special tokens are not where they belong.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        found = tuple(tokenizer.id_to_token(i) for i in (PAD_ID, UNK_ID, BOS_ID, EOS_ID))
        if found != SPECIAL_TOKENS:
            raise ValueError(f"the vocabulary must begin with {SPECIAL_TOKENS}, got {found}")
        self._tokenizer = tokenizer

    @classmethod
    def train(
        cls, captions: Iterable[str], min_count: int = 1, max_size: int | None = None
    ) -> CaptionTokenizer:
        """Make a vocabulary from captions, most frequent word first.

        Args:
            captions: training captions only.
            min_count: leave out words seen fewer times.
            max_size: largest vocabulary, the four special tokens included.

        Raises:
            ValueError: no word is left.
        """
        blank = _blank({token: i for i, token in enumerate(SPECIAL_TOKENS)})
        counts: Counter[str] = Counter()
        for caption in captions:
            counts.update(split_words(blank, caption))
        # Ties in alphabetical order, so that the same captions always give the same ids.
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        words = [word for word, count in ranked if count >= min_count]
        if max_size is not None:
            words = words[: max(0, max_size - len(SPECIAL_TOKENS))]
        if not words:
            raise ValueError(f"no word occurs at least {min_count} times in the captions")
        return cls(_blank({token: i for i, token in enumerate([*SPECIAL_TOKENS, *words])}))

    @classmethod
    def load(cls, directory: Path) -> CaptionTokenizer:
        """Read `tokenizer.json` from a model directory.

        Raises:
            ValueError: the file is missing or is not such a tokenizer.
        """
        path = directory / FILE_NAME
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{FILE_NAME} cannot be read: {error}") from error
        return cls(tokenizer)

    def save(self, directory: Path) -> None:
        """Write `tokenizer.json` into `directory`."""
        self._tokenizer.save(str(directory / FILE_NAME))

    def __len__(self) -> int:
        """Return the vocabulary's size, special tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def words(self, caption: str) -> list[str]:
        """Return the normalised words of a caption."""
        return split_words(self._tokenizer, caption)

    def encode(self, caption: str) -> list[int]:
        """Return the ids of a caption's words, without start and end tokens."""
        return list(self._tokenizer.encode(caption, add_special_tokens=False).ids)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the words of `ids`, special tokens left out."""
        return [str(self._tokenizer.id_to_token(i)) for i in ids if i >= len(SPECIAL_TOKENS)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return plain lower-case text of `ids`, as used for scoring."""
        return " ".join(self.tokens(ids))

    def sentence(self, ids: Sequence[int]) -> str:
        """Return `ids` as a sentence for people: capital first, full stop last."""
        text = " ".join(word for word, _ in self.sentence_spans(ids))
        return f"{text}." if text else ""

    def sentence_spans(self, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
        """Return the words of `sentence`, each with the positions in `ids` of its tokens."""
        spans = self._spans(ids)
        if spans:
            first, positions = spans[0]
            spans[0] = (first[:1].upper() + first[1:], positions)
        return spans

    def _spans(self, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
        out: list[tuple[str, list[int]]] = []
        for position, token_id in enumerate(ids):
            if token_id < len(SPECIAL_TOKENS):
                continue
            word = str(self._tokenizer.id_to_token(token_id))
            if word == _POSSESSIVE and out:
                out[-1] = (out[-1][0] + word, [*out[-1][1], position])
            else:
                out.append((word, [position]))
        return out

    def vocabulary_hash(self) -> str:
        """Return a hash of all words; see `models.api.metadata.vocabulary_hash`."""
        return vocabulary_hash(str(self._tokenizer.id_to_token(i)) for i in range(len(self)))


def split_words(tokenizer: Tokenizer, caption: str) -> list[str]:
    """Return the words that `tokenizer` sees in `caption`, known or not."""
    text = tokenizer.normalizer.normalize_str(caption)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def _blank(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=SPECIAL_TOKENS[UNK_ID]))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex("[‘’`´]"), "'"),
            normalizers.Replace(Regex(r"[^\p{L}\p{M}\p{N}' -]"), " "),
            # "dog's" and "dog 's" (Flickr's own tokenisation) are the same two tokens.
            normalizers.Replace(Regex(r"\s*'s(?![\p{L}\p{N}])"), " 's "),
            # Quotes and dashes that join nothing.
            normalizers.Replace(Regex(r"(?<![\p{L}\p{N}])-+|-+(?![\p{L}\p{N}])"), " "),
            normalizers.Replace(Regex(r"(?<![\p{L}\p{N}])'+(?!s )|'+(?![\p{L}\p{N}])"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer

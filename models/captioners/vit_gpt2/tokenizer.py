"""GPT-2's byte-level BPE for captions: text to ids, ids to a sentence and its words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from models.api.metadata import vocabulary_hash

FILE_NAME = "tokenizer.json"
_SPACE = re.compile(rb"\s")
_ENDS = ".!?…"


def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's printable stand-in of every byte, as character to byte (Radford et al.)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    characters.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return characters


_BYTES = _byte_of_character()


class SubwordTokenizer:
    """Byte-level BPE.

    Args:
        tokenizer: with GPT-2's byte alphabet.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._special = frozenset(id for id, token in added.items() if token.special)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read `tokenizer.json`, or `vocab.json` and `merges.txt`, from a model directory.

        Raises:
            ValueError: the files are missing, damaged or of another kind.
        """
        try:
            if (directory / FILE_NAME).is_file():
                tokenizer = Tokenizer.from_file(str(directory / FILE_NAME))
            else:
                tokenizer = _from_gpt2_files(directory)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"the tokenizer's files cannot be read: {error}") from error
        if not isinstance(tokenizer.decoder, decoders.ByteLevel):
            raise ValueError("the tokenizer is not byte-level BPE as GPT-2's is")
        return cls(tokenizer)

    def save(self, directory: Path) -> None:
        """Write `tokenizer.json` into `directory`."""
        self._tokenizer.save(str(directory / FILE_NAME))

    def __len__(self) -> int:
        """Return the vocabulary's size, special tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, caption: str) -> list[int]:
        """Return the ids of a caption as the captioner is to write it, without special tokens.

        Small letters, single spaces, no full stop: the way nlpconnect's model writes.
        """
        text = " ".join(caption.lower().split()).rstrip(f"{_ENDS} ")
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def sentence(self, ids: Sequence[int]) -> str:
        """Return `ids` as a sentence for people: capital first, full stop last."""
        text = " ".join(word for word, _ in self.sentence_spans(ids))
        return text if not text or text[-1] in _ENDS else f"{text}."

    def sentence_spans(self, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
        """Return the words of `sentence`, each with the positions in `ids` of its tokens."""
        words: list[tuple[bytearray, list[int]]] = []
        within = False
        for position, token_id in enumerate(ids):
            for byte in self._bytes(token_id):
                if _SPACE.match(bytes((byte,))):
                    within = False
                    continue
                if not within:
                    words.append((bytearray(), []))
                    within = True
                text, positions = words[-1]
                text.append(byte)
                if position not in positions[-1:]:
                    positions.append(position)
        spans = [(text.decode("utf-8", "replace"), positions) for text, positions in words]
        if spans:
            first, positions = spans[0]
            spans[0] = (first[:1].upper() + first[1:], positions)
        return spans

    def _bytes(self, token_id: int) -> bytes:
        token = None if token_id in self._special else self._tokenizer.id_to_token(token_id)
        if token is None:
            return b""
        # A token that somebody added may hold characters that stand for no byte.
        found = [_BYTES.get(character, -1) for character in token]
        return token.encode() if -1 in found else bytes(found)

    def vocabulary_hash(self) -> str:
        """Return a hash of all tokens; see `models.api.metadata.vocabulary_hash`."""
        return vocabulary_hash(str(self._tokenizer.id_to_token(i)) for i in range(len(self)))


def _from_gpt2_files(directory: Path) -> Tokenizer:
    model = BPE.from_file(str(directory / "vocab.json"), str(directory / "merges.txt"))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=False)])
    return tokenizer

"""Whether captions have words: what is learnt and scored here is words with blanks between them.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without. Each such sentence would be one
word, which comes once and is never learnt, and which no caption shares with another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]")

_SCRIPTS = (
    # Han with its extensions, Hiragana, Katakana; a word has two letters or so, rarely five.
    (
        re.compile(
            r"[\u3005\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
            r"\uff66-\uff9d\U00020000-\U0003ffff]"
        ),
        4.0,
    ),
    # Thai, Lao, Burmese, Khmer; their marks are not counted.
    (re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"), 6.0),
)
"""Letters of scripts without blanks, and the mean length in letters that words there stay below."""

_MOST = 0.1
"""Share of captions that may be so."""


def has_word(text: str) -> bool:
    """Whether a text has a letter or a digit: pictures of letters and punctuation are no words."""
    return _WORD.search(text) is not None


def without_blanks(captions: Sequence[str]) -> str:
    """Return what is wrong if many captions have no blanks between their words; else nothing."""
    for letters, longest in _SCRIPTS:
        written = [text for text in captions if letters.search(text)]
        if len(written) <= _MOST * len(captions):
            continue
        lengths = [length for text in written for length in _lengths(text, letters)]
        mean = sum(lengths) / max(len(lengths), 1)
        if mean > longest:
            return (
                f"{len(written)} of {len(captions)} captions are in a script that is written "
                f"without blanks between words, such as {written[0]!r:.60}: with {mean:.0f} "
                "letters from blank to blank each stretch would be one word. Put blanks between "
                "the words first, as jieba (Chinese), fugashi (Japanese) or PyThaiNLP (Thai) can"
            )
    return ""


def _lengths(text: str, letters: re.Pattern[str]) -> list[int]:
    """Return how many such letters each stretch between blanks has, where it has any."""
    counts = (
        sum(unicodedata.category(letter)[0] == "L" for letter in letters.findall(stretch))
        for stretch in text.split()
    )
    return [count for count in counts if count]

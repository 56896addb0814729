"""From what a text decoder wrote to a sentence for people; the one place that edits wording.

Captioners trained on web pages open with words that say nothing about the picture ("a picture of",
"the image shows"), and BLIP-large with a word that does not exist ("arafed"). Alt text wants
neither.
"""

from __future__ import annotations

import re

_MEDIUM = r"(?:image|picture|pic|photo|photograph|photography|snapshot|screenshot of an image)"
_BOILERPLATE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:(?:this|it) is |it's |there is )?(?:an?|the|this) {_MEDIUM} (?:of|with)\b[ :,]*",
        rf"{_MEDIUM} of\b[ :,]*",
        rf"(?:the|this) {_MEDIUM} (?:shows|depicts|displays|features|contains|captures|is of)\b *",
        rf"in (?:the|this) {_MEDIUM}\b[ ,]*(?:(?:we|i|you|one) (?:can )?see\b *)?",
    )
)
# No word of any language: BLIP-large writes it in place of "a".
_ARAFED = re.compile(r"\b(?:an? )?araff?ed\b *", re.IGNORECASE)
_SPACE_BEFORE = re.compile(r" +(?=[,.;:!?%)\]}]|n't\b|'(?:s|re|ve|ll|d|m)\b)")
_SPACE_AFTER = re.compile(r"(?<=[(\[{]) +")
# Word-piece vocabularies part hyphens, apostrophes and decimal points from their words.
_JOINED = re.compile(r"(?<=\w) ([-'’]) (?=\w)")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)]*(?= |$)")


def sentence(text: str, complete: bool = True) -> str:
    """Return decoded text as a sentence for people.

    Boilerplate openings go, blanks are put in order, the first letter is a capital and the last
    character a full stop, unless the text ends with other punctuation already.

    Args:
        text: what the decoder wrote, special tokens left out.
        complete: False for a text cut off at the longest length: a last sentence that is not
            finished is left out where a finished one stands before it.

    Returns:
        One line; empty where there is no word.
    """
    text = _without_boilerplate(_in_order(text))
    if not complete:
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        text = text[: ends[-1]] if ends else text
    text = text.lstrip(" .,;:!?-").rstrip(" ,;:-")
    if not _has_word(text):
        return ""
    text = text[:1].upper() + text[1:]
    return text if _SENTENCE_END.search(text[-2:]) else f"{text}."


def _in_order(text: str) -> str:
    """Return `text` with single blanks, and none around punctuation that belongs to a word."""
    # A byte-level vocabulary may end in the middle of a character, or write a control character.
    text = "".join(c if c.isprintable() and c != "\ufffd" else " " for c in text)
    text = " ".join(text.split())
    text = _JOINED.sub(r"\1", text)
    return _SPACE_AFTER.sub("", _SPACE_BEFORE.sub("", text))


def _without_boilerplate(text: str) -> str:
    """Return `text` without openings that say nothing; unless nothing would be left."""
    found = _ARAFED.sub(_article, text).strip()
    while True:
        shorter = found
        for pattern in _BOILERPLATE:
            shorter = pattern.sub("", shorter, count=1) if pattern.match(shorter) else shorter
        if shorter == found:
            break
        found = shorter
    return found if _has_word(found) else text


def _article(match: re.Match[str]) -> str:
    return "a " if match.group().lower().startswith(("a ", "an ")) else ""


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)

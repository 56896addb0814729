"""From what a text decoder wrote to a sentence for people; the one place that edits wording.

Captioners trained on web pages open with words that say nothing about the picture ("a picture of",
"the image shows"), and BLIP-large with a word that does not exist ("arafed"). Alt text wants
neither. An opening is cut where the grammar says that it is one: where what follows may be about
the picture as a thing ("a picture of a dog hanging on a wall"), it stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MEDIUM = r"(?:image|picture|pic|photo|photograph|photography|snapshot|screenshot of an image)"
_COUNT = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|several|some|many|\d+)"


@dataclass(frozen=True)
class _Opening:
    """Words that say nothing about the picture.

    Attributes:
        words: matches them at the beginning of a text.
        unless: found in the rest of the sentence, it makes them more than an opening.
    """

    words: re.Pattern[str]
    unless: re.Pattern[str]


def _opening(words: str, unless: str) -> _Opening:
    return _Opening(re.compile(words, re.IGNORECASE), re.compile(unless, re.IGNORECASE))


# Where pictures are and what is done with them, as things.
_PLACES = (
    "wall|fridge|refrigerator|screen|monitor|tv|television|computer|laptop|tablet|phone|cellphone|"
    "cell phone|page|cover|poster|billboard|shirt|t-shirt|tshirt|mug|stamp|board|bulletin board|"
    "easel|canvas|website|web page|card|box|bag|plate|can|label|package|bus|truck|building|frame|"
    "newspaper|magazine|book|album|museum|gallery|locket|wallet|mirror"
)
_DONE = (
    "hang|hangs|hanging|hung|mounted|framed|displayed|posted|pinned|taped|glued|attached|printed|"
    "projected|propped|being"
)
_CLAUSE = r"\b(?:who|that|which|where|while|as|when|because|what|there|it|he|she|they|and)\b"
_FINITE = r"\b(?:is|are|was|were|has|have|had|sits|stands|lies|looks|appears|shows)\b"
_OF_A_THING = (
    rf"\b(?:{_DONE})\b"
    r"|\b(?:on|in) (?:(?:the )?(?:side|front|back|top|door) of )?"
    rf"(?:an?|the|his|her|its|their|my|your)? ?(?:[\w-]+ )?(?:[\w-]+ )?(?:{_PLACES})s?\b"
    # A verb of the whole: "a picture of a dog is blurry".
    rf"|^(?:(?!{_CLAUSE}).)*{_FINITE}"
)
_WITH_A_THING = (
    r"^(?:an?|the|some|no)? ?(?:[\w-]+ )?(?:[\w-]+ )?(?:frame|border|caption|text|words?|writing|"
    r"lettering|logo|watermark|background|filter|effect|quote|date|title|message|signature)s?\b"
)
# What makes "shows", "captures" or "is of" another verb, or one that nothing follows.
_NO_OBJECT = (
    r"^(?:up|off|on|in|at|out|through|from|by|with|to|again|here|that|how|what|why|well|nothing|"
    r"(?!fly |family |curly |ugly |elderly |lovely |jelly |bully |holy |silly |only )\w+ly|"
    r"(?:signs?|its|great|high|low|poor|good|bad|historical|sentimental)\b.*)(?:\b|$)"
    r"|^(?:the|our|your|my|everyone's)? ?"
    r"(?:attention|eye|imagination|interest|essence|mood|beauty)\b"
)
_BOILERPLATE = (
    _opening(
        rf"(?:(?:this|it) is |it's |there is )?(?:an?|the|this) {_MEDIUM} of\b[ :,]*", _OF_A_THING
    ),
    _opening(
        rf"(?:(?:this|it) is |it's |there is )?(?:an?|the|this) {_MEDIUM} with\b[ :,]*",
        f"{_WITH_A_THING}|{_OF_A_THING}",
    ),
    _opening(rf"{_MEDIUM} of\b[ :,]*", _OF_A_THING),
    _opening(
        rf"(?:the|this) {_MEDIUM} (?:shows|depicts|displays|features|contains|captures|is of)\b *",
        _NO_OBJECT,
    ),
    _opening(
        rf"in (?:the|this) {_MEDIUM}(?:,|(?= (?:(?:we|i|you|one|there|an?|the|{_COUNT})\b)))"
        r" *(?:(?:we|i|you|one) (?:can )?see\b *)?",
        r"(?!)",
    ),
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
        for opening in _BOILERPLATE:
            shorter = _without(opening, shorter)
        if shorter == found:
            break
        found = shorter
    return found if _has_word(found) else text


def _without(opening: _Opening, text: str) -> str:
    """Return `text` without an opening; unchanged where it has none, or it is more than one."""
    match = opening.words.match(text)
    if match is None:
        return text
    rest = text[match.end() :]
    first = _SENTENCE_END.split(rest, maxsplit=1)[0]
    return text if opening.unless.search(first) else rest


def _article(match: re.Match[str]) -> str:
    return "a " if match.group().lower().startswith(("a ", "an ")) else ""


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)

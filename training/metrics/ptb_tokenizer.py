"""The official COCO caption tokenisation in pure Python, and the official Java one where it runs.

The COCO caption scores (Chen et al. 2015) are defined over the Penn Treebank tokens of Stanford
CoreNLP 3.4.1 (`PTBTokenizer -preserveLines -lowerCase`), less a list of punctuation tokens. This
is a re-implementation from observed behaviour: rules and tables were inferred by comparing outputs,
and `tests/training/metrics/test_ptb_tokenizer.py` holds the two against each other.

How it works: at each position every rule of `ptb_rules` is tried, the longest match wins,
and of equally long ones the earliest rule. A match may include what must follow (it counts for the
length); only the group `t` is consumed. What no rule matches (spaces, control characters, anything
beyond U+FFFF such as emoji) separates tokens and disappears.

Quirks kept because scores depend on them: "-LRB-" and its kind are in the official punctuation list
in upper case only, so lower-cased brackets stay as "-lrb-"; and whether the full stop of a single
letter ("… reads K.") is kept depends on the first word of the next caption.

Known differences: letters that Unicode gained after 2012 or so are kept (CoreNLP drops them), a
soft hyphen inside an address goes, a capital sigma ends differently next to "ª", and of several
ways to end a malformed web address the longest is not always found.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import shutil
import string
import subprocess
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

from models.api.measured import Tokenisation
from training.metrics.ptb_rules import RULES, Rule

_log = logging.getLogger(__name__)
_Key = TypeVar("_Key", bound=Hashable)

# pycocoevalcap's list, without the upper-case brackets that can never match a lower-cased token.
_PUNCTUATION = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"))

# A run of plain words, each with a space behind it, can only be those words: most of a caption.
_PLAIN = re.compile(r"(?:[A-Za-z]+ +(?![\t\u00a0\u2000-\u200a\u3000]))+")
_NOT_PLAIN = frozenset("cannot gonna wanna gotta lemme gimme".split())
_HARMLESS = frozenset(string.ascii_letters + string.digits + " ")


@lru_cache(maxsize=1024)
def _rules_for(characters: frozenset[str]) -> tuple[Rule, ...]:
    """The rules that can match in a caption with these characters outside `_HARMLESS`."""
    present = characters | {" "}
    return tuple(r for r in RULES if not r.needs or not present.isdisjoint(r.needs))


def _lex(text: str, start: int, end: int) -> list[str]:
    """The tokens of `text[start:end]`, punctuation included; `text[end:]` is context only."""
    tokens: list[str] = []
    rules = _rules_for(frozenset(text[start:end]) - _HARMLESS)
    while start < end:
        if plain := _PLAIN.match(text, start, end):
            found = plain[0].lower().split()
            if _NOT_PLAIN.isdisjoint(found):
                tokens += found
                start = plain.end()
                continue
        longest, winner, match = start, None, None
        for rule in rules:
            if (candidate := rule.pattern.match(text, start)) and candidate.end() > longest:
                longest, winner, match = candidate.end(), rule, candidate
        if winner is None or match is None:
            start += 1
            continue
        token = match["t"]
        start = match.end("t")
        if winner.text is not None:
            token = winner.text(token)
        if token:
            tokens.append((token.replace("\u00ad", "") or "-").lower())
    return tokens


# ---- public -------------------------------------------------------------------------------------

# What would break a line in Java and so shift every caption after it, and lone surrogates, which no
# file can hold. (pycocoevalcap replaces "\n" alone.)
_LINE_BREAKERS = re.compile("[\n\r\v\f\u2028\u2029\ud800-\udfff]")


def tokenize_captions(captions: Mapping[_Key, Sequence[str]]) -> dict[_Key, list[str]]:
    """Tokenise lists of captions by image id, in pure Python.

    Equal to `pycocoevalcap.tokenizer.ptbtokenizer.PTBTokenizer` for the same mapping in the same
    order (order: see the module's quirks), except that a carriage return or other line break in a
    caption does not push all later captions to the wrong image, and an image without captions
    keeps its empty list.
    """
    return _regroup(captions, _tokenize_lines)


def java_available() -> bool:
    """Whether the official tokeniser can be started: `java` on the path and pycocoevalcap's jar."""
    return shutil.which("java") is not None and _jar() is not None


def tokenize_references(
    references: Mapping[_Key, Sequence[str]],
    prefer: Literal["auto", "java", "python"] = "auto",
) -> tuple[dict[_Key, list[str]], Tokenisation]:
    """Tokenise lists of captions by image id; also name the tokeniser that was used.

    `prefer`: "java" (the official one), "python", or "auto": Java where it is found and runs.
    The name is "ptb-java" or "ptb-python". Raises FileNotFoundError for "java" where Java or the
    jar is missing, RuntimeError where it fails, ValueError for another `prefer`.
    """
    if prefer not in ("auto", "java", "python"):
        raise ValueError(f"prefer {prefer!r} is not one of auto, java, python")
    if prefer == "java" or (prefer == "auto" and java_available()):
        try:
            return _regroup(references, _tokenize_lines_in_java), "ptb-java"
        except (RuntimeError, OSError) as error:
            if prefer == "java":
                raise
            _log.warning("%s; going on with the Python tokeniser", error)
    return tokenize_captions(references), "ptb-python"


def _regroup(
    captions: Mapping[_Key, Sequence[str]], tokenizer: Callable[[list[str]], list[str]]
) -> dict[_Key, list[str]]:
    """Tokenise all captions in one go (it is one text to the tokeniser), then sort them back."""
    tokenized = iter(tokenizer([caption for group in captions.values() for caption in group]))
    return {key: [next(tokenized) for _ in group] for key, group in captions.items()}


def _tokenize_lines(captions: list[str]) -> list[str]:
    lines = [_LINE_BREAKERS.sub(" ", caption) for caption in captions]
    text = "\n".join(lines)
    tokenized: list[str] = []
    start = 0
    for line in lines:
        tokenized.append(_without_punctuation(" ".join(_lex(text, start, start + len(line)))))
        start += len(line) + 1
    return tokenized


def _without_punctuation(line: str) -> str:
    return " ".join(token for token in line.rstrip().split(" ") if token not in _PUNCTUATION)


def _jar() -> Path | None:
    """The path of CoreNLP's jar inside pycocoevalcap, found without importing the package."""
    spec = importlib.util.find_spec("pycocoevalcap")
    for folder in (spec and spec.submodule_search_locations) or ():
        jar = Path(folder) / "tokenizer" / "stanford-corenlp-3.4.1.jar"
        if jar.is_file():
            return jar
    return None


_JAVA_OPTIONS = ("-preserveLines", "-lowerCase", "-encoding", "utf-8")


def _tokenize_lines_in_java(captions: list[str]) -> list[str]:
    # pycocoevalcap's own wrapper writes into its package folder (read-only in a container) and
    # looks neither at the exit status nor at the number of lines.
    java, jar = shutil.which("java"), _jar()
    if java is None or jar is None:
        raise FileNotFoundError(
            f"{'java' if java is None else 'stanford-corenlp-3.4.1.jar of pycocoevalcap'} not found"
        )
    text = "\n".join(_LINE_BREAKERS.sub(" ", caption) for caption in captions)
    done = subprocess.run(
        [java, "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", *_JAVA_OPTIONS],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    lines = done.stdout.decode(errors="replace").split("\n")[: len(captions)]
    if done.returncode != 0 or len(lines) != len(captions):
        reason = done.stderr.decode(errors="replace").strip()[-300:]
        raise RuntimeError(f"the Java tokeniser failed (status {done.returncode}): {reason}")
    return [_without_punctuation(line) for line in lines]

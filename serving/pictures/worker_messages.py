"""What the gateway and a decoding worker say to each other: a line of JSON each way.

Behind a job's line come the picture's bytes. The pixels come back in memory that both share. What a
worker says is checked like any input: a picture may have taken it over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, get_args

from models.pictures.kinds import Refusal


@dataclass(frozen=True)
class Limits:
    """What holds for all pictures that a worker decodes.

    Attributes:
        max_pixels: most pixels that a picture may have.
        seconds: longest that one of so many may take; others get less, see `worker`.
    """

    max_pixels: int
    seconds: float

    def line(self) -> bytes:
        """Return the limits as a line."""
        return _line(self)


@dataclass(frozen=True)
class Job:
    """One picture to decode.

    Attributes:
        size: bytes of the file, which follow.
        spec: the model's `PreprocessSpec`, as JSON.
        room: bytes of memory that are set aside for its pixels.
    """

    size: int
    spec: str
    room: int

    def line(self) -> bytes:
        """Return the job as a line."""
        return _line(self)


Outcome = Literal["done", "needs room", "out of memory"] | Refusal


@dataclass(frozen=True)
class Answer:
    """What became of a picture.

    Attributes:
        outcome: whether it was decoded, or why not.
        bytes_needed: memory that decoding takes; if more than there was room for, nothing was done.
        width: in pixels, as seen upright; of a picture that was decoded.
        height: in pixels, as seen upright.
        format: Pillow's name of the file's format.
        seconds: that the work took.
        reason: what is the matter, for people.
        resident: bytes of memory that the worker holds now.
        logged: what was logged meanwhile.
    """

    outcome: Outcome
    bytes_needed: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    seconds: float = 0.0
    reason: str = ""
    resident: int = 0
    logged: str = ""

    def line(self) -> bytes:
        """Return the answer as a line."""
        return _line(self)


_OUTCOMES = {one for part in get_args(Outcome) for one in (get_args(part) or (part,))}
_TYPES = {name: type(value) for name, value in vars(Answer("done")).items()}
_ENDLESS = 2**62


def read_answer(line: bytes) -> Answer:
    """Return the answer of a line.

    Raises:
        ValueError: it is none.
    """
    try:
        answer = Answer(**json.loads(line))
    except TypeError as error:
        raise ValueError(str(error)) from None
    for name, value in vars(answer).items():
        if type(value) is not _TYPES[name] or (
            type(value) is not str and not 0 <= value < _ENDLESS
        ):
            raise ValueError(f"{name} is {str(value)[:100]!r}")
    if answer.outcome not in _OUTCOMES:
        raise ValueError(f"its outcome is {answer.outcome[:100]!r}")
    return answer


def _line(message: Limits | Job | Answer) -> bytes:
    return json.dumps(vars(message)).encode() + b"\n"

"""What the gateway and a decoding worker say to each other: a line of JSON each way.

Behind a job's line come the picture's bytes. The pixels come back in memory that both share. What a
worker says is checked like any input: a picture may have taken it over.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Limits:
    """What holds for all pictures that a worker decodes.

    Attributes:
        max_pixels: most pixels that a picture may have.
        seconds: longest that one may take, by the clock; its header a tenth, of processor time.
    """

    max_pixels: int
    seconds: float


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


@dataclass(frozen=True)
class Answer:
    """What became of a picture.

    Attributes:
        bytes_needed: memory that decoding takes. If that is more than there was room for, nothing
            else was done.
        width: in pixels, as seen upright; 0 if the picture was not decoded.
        height: in pixels, as seen upright.
        format: Pillow's name of the file's format.
        seconds: that the work took.
        problem: kind of the problem, if the picture has one.
        detail: the problem in a sentence.
        out_of_memory: whether the problem is that memory was refused.
        resident: bytes of memory that the worker holds now.
        logged: what was logged meanwhile.
    """

    bytes_needed: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    seconds: float = 0.0
    problem: str = ""
    detail: str = ""
    out_of_memory: bool = False
    resident: int = 0
    logged: str = ""

    @property
    def is_large(self) -> bool:
        """Whether nothing was done for want of room."""
        return not (self.width or self.problem)

    def line(self) -> bytes:
        """Return the answer as a line."""
        return _line(self)


_NOTHING = asdict(Answer())
_ENDLESS = 2**62


def read_limits(text: str) -> Limits:
    """Return the limits that `text` holds, a line as of `Limits`."""
    return Limits(**json.loads(text))


def read_job(line: bytes) -> Job:
    """Return the job of a line."""
    return Job(**json.loads(line))


def read_answer(line: bytes) -> Answer:
    """Return the answer of a line.

    Raises:
        ValueError: it is none.
    """
    try:
        answer = Answer(**json.loads(line))
    except TypeError as error:
        raise ValueError(str(error)) from None
    for name, default in _NOTHING.items():
        value = getattr(answer, name)
        right = type(value) is type(default) or (type(default) is float and type(value) is int)
        if not right or (not isinstance(value, str) and not 0 <= value < _ENDLESS):
            raise ValueError(f"{name} is {str(value)[:100]!r}")
    return answer


def write_limits(limits: Limits) -> str:
    """Return the limits as text that `read_limits` reads."""
    return json.dumps(asdict(limits))


def _line(message: Job | Answer) -> bytes:
    return json.dumps(asdict(message)).encode() + b"\n"

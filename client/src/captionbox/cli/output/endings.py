"""How a command ends: exit codes, whose fault an error is, and a plain sentence for each."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum, auto

import typer

from captionbox.cli.output.terminal import printable
from captionbox.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    CaptionboxError,
    CaptionboxVersionWarning,
    ImageInputError,
    NotFoundError,
)


class ExitCode(IntEnum):
    """What the command ends with. The README's table says the same."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNAVAILABLE = 4
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class Fault(Enum):
    """Whose fault an error is, and so what becomes of the other images."""

    IMAGE = auto()
    """This image never works: recorded, the others go on."""
    REQUEST = auto()
    """Every image would meet the same: the run stops."""
    SERVER_GONE = auto()
    """Nobody is there: the run stops, to be taken up later."""
    SERVER_ILL = auto()
    """May work later: not recorded, so that the next run asks again."""


_ABOUT_IMAGE = frozenset({400, 413, 415, 422})
_REQUEST_KINDS = frozenset({"unsupported-option", "unsupported-media-type"})
_IMAGE_FIELDS = frozenset({"image", "images", "url"})
_ADDRESS_KINDS = frozenset({"url-unreachable", "url-timeout"})
"""What the server meets at one picture's address; it is well itself."""


def fault_of(error: CaptionboxError) -> Fault:
    """Return whose fault `error` is."""
    if isinstance(error, ImageInputError):
        return Fault.SERVER_ILL if error.transient else Fault.IMAGE
    if isinstance(error, APITimeoutError):
        return Fault.SERVER_ILL
    if isinstance(error, APIConnectionError):
        return Fault.SERVER_GONE
    if isinstance(error, APIStatusError):
        if error.transient:
            return Fault.SERVER_ILL
        if error.status in _ABOUT_IMAGE and not _is_about_options(error):
            return Fault.IMAGE
    return Fault.REQUEST


def is_about_address(error: CaptionboxError) -> bool:
    """Whether an error that may pass is that of one picture's host, and tells of no other."""
    if isinstance(error, APIStatusError):
        return error.problem.kind in _ADDRESS_KINDS
    return isinstance(error, ImageInputError)


def _is_about_options(error: APIStatusError) -> bool:
    if error.problem.kind in _REQUEST_KINDS:
        return True
    return bool(error.errors) and not any(item.field in _IMAGE_FIELDS for item in error.errors)


def sentence(error: CaptionboxError) -> str:
    """Return what a person at the command line is to read of an error."""
    if isinstance(error, AuthenticationError):
        advice = (
            "the server wants an API key that it knows; set CAPTIONBOX_API_KEY, or give --api-key"
        )
        return str(type(error)(error.problem.model_copy(update={"detail": advice})))
    if isinstance(error, NotFoundError) and error.type == "about:blank":
        return f"{error}; is that a Captionbox server, and the address right (--base-url)?"
    return str(error)


def of_image(image: str, error: CaptionboxError) -> str:
    """Return what a person is to read of the error of one image; its name once."""
    text = sentence(error)
    return text if image in text else f"{image}: {text}"


def exit_code(error: CaptionboxError) -> ExitCode:
    """Return the code for a command that ends in `error`."""
    return {
        Fault.IMAGE: ExitCode.SOME_FAILED,
        Fault.REQUEST: ExitCode.REFUSED,
        Fault.SERVER_GONE: ExitCode.UNAVAILABLE,
        Fault.SERVER_ILL: ExitCode.UNAVAILABLE,
    }[fault_of(error)]


class UsageError(Exception):
    """The command cannot be carried out as it was given; the message says why."""


@contextmanager
def plain_endings() -> Iterator[None]:
    """Turn exceptions into exit codes.

    Raises:
        typer.Exit: with the code for the exception.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", CaptionboxVersionWarning)
            warnings.showwarning = _warn
            yield
    except CaptionboxError as error:
        raise _exit(exit_code(error), sentence(error)) from error
    except UsageError as error:
        raise _exit(ExitCode.USAGE, str(error)) from error
    except BrokenPipeError as error:
        # What is still buffered for a reader who has gone would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.BROKEN_PIPE) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise _exit(ExitCode.USAGE, f"{where}{error.strerror or error}") from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error


def _exit(code: ExitCode, message: str) -> typer.Exit:
    _tell(message)
    return typer.Exit(code)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _tell(str(message))


def _tell(message: str) -> None:
    typer.echo(f"captionbox: {printable(message)}", err=True)

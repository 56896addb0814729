"""How a command ends: every error a plain sentence on standard error and a documented exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from captionbox.cli.exits import ExitCode, exit_code, sentence
from captionbox.cli.printable import printable
from captionbox.errors import CaptionboxError, CaptionboxVersionWarning


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

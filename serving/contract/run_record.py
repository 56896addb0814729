"""What the processes of one run of the server leave for each other, in a folder of its own.

How each model computes: measured by the first engine worker, kept by all others. Workers that each
measured for themselves could choose differently, and a caption would then depend on who wrote it;
the gateway reads the outcome for `GET /v1/models`. And why the run ends, where a worker ends it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.api.device import PrecisionChoice

_VARIABLE = "_CAPTIONBOX_RUN_FOLDER"
_LAST_WORD = "last-word"


def open_record() -> None:
    """Make the record that the worker processes started from here share; gone when this ends."""
    folder = tempfile.mkdtemp(prefix="captionbox-")
    os.environ[_VARIABLE] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def is_open() -> bool:
    """Whether this process belongs to a run that keeps a record."""
    return _folder() is not None


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep other processes from deciding on a model meanwhile. The record must be open."""
    with _file(f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def choose(name: str, choice: PrecisionChoice) -> None:
    """Put on record how a model computes. The record must be open."""
    fresh = _file(f"{name}.new")
    fresh.write_text(choice.model_dump_json(), encoding="utf-8")
    fresh.rename(_file(f"{name}.json"))


def chosen(name: str) -> PrecisionChoice | None:
    """Return what is on record for a model; `None` while nothing is."""
    if not is_open() or not _file(f"{name}.json").is_file():
        return None
    return PrecisionChoice.model_validate_json(_file(f"{name}.json").read_text(encoding="utf-8"))


def leave_last_word(text: str) -> bool:
    """Say in one line why the run ends; the first who says so is heard.

    Returns:
        Whether there is a record that somebody's word stands in.
    """
    if not is_open():
        return False
    try:
        with _file(_LAST_WORD).open("x", encoding="utf-8") as file:
            file.write(" ".join(text.split()))
    except FileExistsError:
        pass
    except OSError:
        return False
    return True


def last_word() -> str:
    """Return why the run ends; empty where nobody has said so."""
    if not is_open() or not _file(_LAST_WORD).is_file():
        return ""
    return _file(_LAST_WORD).read_text(encoding="utf-8")


def _folder() -> Path | None:
    found = os.environ.get(_VARIABLE)
    return Path(found) if found else None


def _file(name: str) -> Path:
    folder = _folder()
    if folder is None:
        raise RuntimeError("this process belongs to no run that keeps a record")
    return folder / name

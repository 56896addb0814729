"""How each served model computes: measured by the first engine worker, kept by all others.

Workers that each measured for themselves could choose differently, and a caption would then depend
on who wrote it. The gateway reads the outcome for `GET /v1/models`.
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

from models.api.backend import BackendSetting
from models.api.captioner import Captioner
from models.api.precision import PrecisionSetting
from models.registry import load_captioner
from models.runtimes.choose import PrecisionChoice, load_fastest

_VARIABLE = "_CAPTIONBOX_RUN_FOLDER"


def open_record() -> None:
    """Make the record that the worker processes started from here share; gone when this ends."""
    folder = tempfile.mkdtemp(prefix="captionbox-")
    os.environ[_VARIABLE] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def load(
    name: str, directory: Path, asked: PrecisionSetting, backend: BackendSetting = "torch"
) -> Captioner:
    """Load a model to compute as is on record, or choose how and put it there.

    Args:
        name: the model's.
        directory: the model's.
        asked: the setting.
        backend: the setting.

    Raises:
        models.api.backend.BackendError: the model does not run on the backend asked for.
        models.api.metadata.BrokenModelError: the model is damaged.
        ValueError: the model's method cannot compute in the precision asked for.
    """
    folder = _folder()
    if folder is None:
        return load_fastest(directory, asked, backend)[0]
    with _alone(folder / f"{name}.lock"):
        choice = chosen(name)
        if choice is None:
            captioner, choice = load_fastest(directory, asked, backend)
            fresh = folder / f"{name}.new"
            fresh.write_text(choice.model_dump_json(), encoding="utf-8")
            fresh.rename(folder / f"{name}.json")
            return captioner
    return load_captioner(directory, choice.precision, choice.backend)


def chosen(name: str) -> PrecisionChoice | None:
    """Return what is on record for a model; `None` while nothing is."""
    folder = _folder()
    path = folder and folder / f"{name}.json"
    if path is None or not path.is_file():
        return None
    return PrecisionChoice.model_validate_json(path.read_text(encoding="utf-8"))


def _folder() -> Path | None:
    found = os.environ.get(_VARIABLE)
    return Path(found) if found else None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

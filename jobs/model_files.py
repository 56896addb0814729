"""A model directory that travels: to actors on machines that do not have it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray


@dataclass(frozen=True)
class ModelFiles:
    """A model directory, where it lies or packed.

    Attributes:
        directory: path on the machine that started the job.
        version: its content's.
        packed: reference to the files' contents by name; None on one machine.
    """

    directory: str
    version: str
    packed: Any = None

    @classmethod
    def of(cls, directory: Path, version: str, pack: bool) -> ModelFiles:
        """Return a model directory, packed if other machines are to read it."""
        if not pack:
            return cls(str(directory), version)
        content = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
        return cls(str(directory), version, ray.put(content))

    def path(self) -> Path:
        """Return the directory on this machine; unpacks it the first time."""
        if self.packed is None:
            return Path(self.directory)
        target = Path(tempfile.gettempdir()) / f"captionbox-model-{self.version}"
        if not target.is_dir():
            fresh = Path(tempfile.mkdtemp(dir=target.parent))
            for name, content in ray.get(self.packed).items():
                (fresh / name).write_bytes(content)
            try:
                fresh.rename(target)
            except OSError:  # another worker was faster
                return target
        return target

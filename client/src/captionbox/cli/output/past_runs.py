"""The runs that journals tell of, and taking one of them back."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captionbox.cli.output.journal import journal_folder, journals, lock, read
from captionbox.cli.output.undoing import Step, remove_folders, steps


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that can be taken back.

    Attributes:
        journal: where it is written down.
        command: what was called, in words.
        folder: where it was called.
        began: when, in UTC.
        entries: what it changed.
        at_work: whether it goes on still.
    """

    journal: Path
    command: str
    folder: str
    began: str
    entries: list[dict[str, Any]]
    at_work: bool

    @property
    def files(self) -> list[str]:
        """The files that it changed, each once."""
        return list(dict.fromkeys(one["path"] for one in self.entries if one["op"] != "folder"))

    def changed_in(self, folder: Path) -> bool:
        """Whether a file in that folder, or below, was changed."""
        place = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118
        return any(f"{name}{os.sep}".startswith(place) for name in self.files)

    def told(self) -> dict[str, Any]:
        """Return it for programs."""
        told = {"began": self.began, "command": self.command, "folder": self.folder}
        return told | {"files": len(self.files)}


@dataclass
class TakenBack:
    """What became of the files of a run.

    Attributes:
        restored: as they were before.
        left: left alone, each with the reason.
    """

    restored: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"restored": self.restored, "left": self.left}


def past_runs() -> list[PastRun]:
    """Return the runs that can be taken back, the last one first."""
    found: list[PastRun] = []
    for path in journals(journal_folder()):
        try:
            head, entries = read(path)
            with path.open("a+b", buffering=0) as file:
                at_work = not lock(file)
        except (OSError, ValueError):
            continue
        if any(entry["op"] == "undone" for entry in entries):
            continue
        changes = [entry for entry in entries if entry["op"] in ("replace", "grow", "folder")]
        if changes:
            command = " ".join(one for one in head["what"] if one != "None")
            began = head.get("at", "")
            found.append(PastRun(path, command, head["folder"], began, changes, at_work))
    return found


def take_back(run: PastRun, *, dry_run: bool) -> TakenBack:
    """Make every file of a run as it was before.

    Args:
        run: which.
        dry_run: tell what would be done, and do nothing.
    """
    done = TakenBack()
    for step in steps(run.entries):
        if not isinstance(step, Step):
            path, reason = step
            done.left[str(path)] = str(reason)
            continue
        try:
            if not dry_run:
                step.carry_out()
            done.restored.append(str(step.path))
        except OSError as error:
            done.left[str(step.path)] = f"cannot be written: {error.strerror or error}"
    if not dry_run:
        remove_folders(run.entries)
        with run.journal.open("ab", buffering=0) as file:
            file.write(json.dumps({"op": "undone"}).encode() + b"\n")
    return done

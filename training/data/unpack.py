"""Unpack a zip archive of pictures or annotations: safely, resumably, all or nothing.

Files appear in `.unpacking-NAME` first, each under its own name only when it is whole and its CRC
is right; when all are there, the folders move into place. A kill leaves nothing that looks like a
data set and is none, and the next call goes on after the last whole file.
"""

from __future__ import annotations

import fnmatch
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from training.data.machine import shortage


class UnpackError(ValueError):
    """An archive cannot be unpacked; the message names it and the reason.

    Attributes:
        damaged: the archive itself is wrong: fetching it again may help.
    """

    def __init__(self, message: str, damaged: bool = False) -> None:
        super().__init__(message)
        self.damaged = damaged


def unpack(archive: Path, to: Path, wanted: str = "*") -> int:
    """Unpack the files of `archive` that match `wanted` into `to`; return how many.

    Files that are there already with the right size are kept.

    Args:
        archive: a zip file.
        to: folder under which the archive's own folders appear.
        wanted: shell pattern over whole names, `*` crossing folders: `annotations/captions_*`.

    Raises:
        UnpackError: the archive is damaged, holds names that lead out of `to`, links or encrypted
            files, or needs more space than there is; or `to` cannot be written.
    """
    staging = _staging(archive, to)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [
                info
                for info in opened.infolist()
                # Every name is checked, wanted or not: an archive with one bad name is not ours.
                if _checked(info, archive) and fnmatch.fnmatchcase(info.filename, wanted)
            ]
            if not members:
                raise UnpackError(f"{archive.name}: holds no {wanted}", damaged=True)
            missing = [info for info in members if not _is_there(info, staging, to)]
            _check_space(archive, to, sum(info.file_size for info in missing))
            _extract(opened, missing, staging)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UnpackError(f"{archive.name}: damaged: {error}", damaged=True) from error
    except OSError as error:
        where = error.filename or to
        raise UnpackError(f"{where}: cannot be written: {error.strerror or error}") from error
    _publish(staging, to)
    return len(members)


def unpacked_bytes(archive: Path, to: Path) -> int:
    """Return how much of `archive` an interrupted `unpack` has written already."""
    staging = _staging(archive, to)
    return sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())


def _staging(archive: Path, to: Path) -> Path:
    return to / f".unpacking-{archive.stem}"


def _checked(info: zipfile.ZipInfo, archive: Path) -> bool:
    """Return whether a member is a file; raise for one that must not be unpacked."""
    name = info.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
        raise UnpackError(f"{archive.name}: refused: the name {name!r} leads out of the folder")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnpackError(f"{archive.name}: refused: {name!r} is no ordinary file")
    if info.flag_bits & 1:
        raise UnpackError(f"{archive.name}: refused: {name!r} is encrypted")
    return not info.is_dir()


def _is_there(info: zipfile.ZipInfo, *roots: Path) -> bool:
    for root in roots:
        try:
            if (root / info.filename).stat().st_size == info.file_size:
                return True
        except OSError:
            continue
    return False


def _check_space(archive: Path, to: Path, needed: int) -> None:
    to.mkdir(parents=True, exist_ok=True)
    if lacking := shortage(to, needed):
        raise UnpackError(f"{to}: {lacking} to unpack {archive.name}")


def _extract(opened: zipfile.ZipFile, members: list[zipfile.ZipInfo], staging: Path) -> None:
    total = sum(info.file_size for info in members)
    with tqdm(desc="unpacking", total=total, unit="B", unit_scale=True, disable=None) as bar:
        for info in members:
            target = staging / info.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            # zipfile compares the CRC when it reads the last byte.
            with opened.open(info) as source, part.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            part.replace(target)
            bar.update(info.file_size)


def _publish(staging: Path, to: Path) -> None:
    """Move everything from `staging` to `to`, whole folders at once where nothing is in the way."""
    if not staging.is_dir():
        return
    try:
        for leftover in staging.rglob("*.part"):
            leftover.unlink()
        for entry in sorted(staging.iterdir()):
            if not (to / entry.name).exists():
                entry.rename(to / entry.name)
                continue
            for file in [path for path in sorted(entry.rglob("*")) if path.is_file()]:
                target = to / file.relative_to(staging)
                target.parent.mkdir(parents=True, exist_ok=True)
                # Not rename: the folder in place may be a link to another disk.
                shutil.move(file, target)
        shutil.rmtree(staging)
    except OSError as error:
        raise UnpackError(f"{error.filename or to}: cannot be moved: {error.strerror}") from error

"""Download a data set: the official archives, checked and unpacked.

    python -m training.download coco2017 --to DIR [--only annotations|val|train]

Goes on where it was stopped, retries what a bad connection breaks, checks sizes, MD5s and every
file's CRC, and leaves the layout that `--data DIR` of the other commands reads. COCO 2017 needs
20 GB when it is done and 40 GB on the way. `--mirror URL` takes the same archives from another
server. COCO's captions are under CC BY 4.0; the pictures are Flickr users', each under its own
licence, which the annotation files name.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.fetch import DownloadError, Patience, fetch, verify
from training.data.machine import shortage
from training.data.unpack import UnpackError, unpack, unpacked_bytes

logger = logging.getLogger(__name__)

RECORD_NAME = ".downloaded.json"
"""In the data set's folder: which archives have been unpacked there, and how many files each."""


@dataclass(frozen=True)
class Archive:
    """One official zip file.

    Attributes:
        part: what `--only` calls it.
        path: below the server's address.
        size: bytes; None where it is not known.
        md5: hexadecimal; None where it is not known.
        wanted: pattern of the files that are unpacked; the others are of no use here.
        unpacked: bytes they take, roughly.
    """

    part: str
    path: str
    size: int | None
    md5: str | None
    wanted: str
    unpacked: int

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """A data set on the net.

    Attributes:
        server: the official address.
        archives: small ones first, so that mistakes show early.
    """

    server: str
    archives: tuple[Archive, ...]


# COCO publishes no checksums. These are the ones that years of public scripts (Detectron, Paddle,
# LVIS) compare with.
SOURCES = {
    "coco2017": Source(
        "http://images.cocodataset.org",
        (
            Archive(
                "annotations",
                "annotations/annotations_trainval2017.zip",
                252_907_541,
                "f4bbac642086de4f52a3fdda2de5fa2c",
                "annotations/captions_*2017.json",
                96_000_000,
            ),
            Archive(
                "val",
                "zips/val2017.zip",
                815_585_330,
                "442b8da7639aecaf257c1dceb8ba8c80",
                "val2017/*.jpg",
                815_000_000,
            ),
            Archive(
                "train",
                "zips/train2017.zip",
                19_336_861_798,
                "cced6f7f71b7629ddf16f17bbcfab6b2",
                "train2017/*.jpg",
                19_320_000_000,
            ),
        ),
    )
}
"""Data set name to where it is."""


def download(
    source: Source,
    to: Path,
    only: Sequence[str] = (),
    mirror: str | None = None,
    keep_archives: bool = False,
    patience: Patience | None = None,
) -> None:
    """Download, check and unpack the archives of a data set.

    Args:
        source: which.
        to: the data set's folder.
        only: parts to take; empty takes all.
        mirror: address to use instead of the official one.
        keep_archives: leave the zip files in `to`.
        patience: with a bad connection.

    Raises:
        DownloadError, UnpackError: see there; also for too little space, before anything is
            fetched.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"{to}: cannot be written: {error.strerror}") from error
    missing = [
        archive
        for archive in source.archives
        if (not only or archive.part in only) and not _is_there(archive, to)
    ]
    _check_space(missing, to, keep_archives)
    server = (mirror or source.server).rstrip("/")
    for archive in missing:
        file = to / archive.name
        found = file.is_file()
        if not found:
            logger.info("fetching %s/%s", server, archive.path)
            fetch(f"{server}/{archive.path}", file, archive.size, patience)
        try:
            verify(file, archive.size, archive.md5)
            count = unpack(file, to, archive.wanted)
        except (DownloadError, UnpackError) as error:
            if isinstance(error, UnpackError) and not error.damaged:
                raise
            if found:  # perhaps somebody's own: not ours to delete
                raise DownloadError(f"{error}; delete {file} to fetch it anew") from error
            file.unlink()
            raise DownloadError(f"{error}; deleted: the same command fetches it anew") from error
        _record(archive, to, count)
        if not keep_archives:
            file.unlink()
        logger.info("%s: %d files in %s", archive.name, count, to / archive.wanted.split("/")[0])


def _check_space(archives: Sequence[Archive], to: Path, keep: bool) -> None:
    """Raise unless the archives and what is in them fit, at the fullest moment."""
    needed = peak = 0
    for archive in archives:
        here = [to / archive.name, to / f"{archive.name}.part"]
        fetched = sum(path.stat().st_size for path in here if path.is_file())
        size = max(archive.size or archive.unpacked, fetched)
        unpacked = max(archive.unpacked - unpacked_bytes(to / archive.name, to), 0)
        peak = max(peak, needed + size - fetched + unpacked)
        needed += unpacked - fetched + (size if keep else 0)
    if lacking := shortage(to, peak):
        raise DownloadError(f"{to}: {lacking}")


def _read_record(to: Path) -> dict[str, Any]:
    try:
        content = json.loads((to / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _record(archive: Archive, to: Path, count: int) -> None:
    content = {**_read_record(to), archive.name: count}
    fresh = to / (RECORD_NAME + ".new")
    fresh.write_text(json.dumps(content, indent=1), encoding="utf-8")
    fresh.replace(to / RECORD_NAME)


def _is_there(archive: Archive, to: Path) -> bool:
    """Return whether the archive was unpacked here before and its files still lie here."""
    count = _read_record(to).get(archive.name)
    if not isinstance(count, int) or sum(1 for _ in to.glob(archive.wanted)) < count:
        return False
    logger.info("%s: there already", archive.name)
    return True


def main(arguments: list[str] | None = None, patience: Patience | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.download",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", choices=sorted(SOURCES), help="which data set")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="where it will lie")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=("annotations", "val", "train"),
        help="a part of it (repeat for several)",
    )
    parser.add_argument("--mirror", metavar="URL", help="address of a server with the same files")
    parser.add_argument("--keep-archives", action="store_true", help="do not delete the zip files")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = SOURCES[options.data]
    try:
        download(source, options.to, options.only, options.mirror, options.keep_archives, patience)
    except (DownloadError, UnpackError, OSError) as error:
        logger.error("%s", error)
        return 2
    except KeyboardInterrupt:
        logger.error("stopped; the same command goes on from here")
        return 130
    logger.info("done: use it with --data %s", options.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())

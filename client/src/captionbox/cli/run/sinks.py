"""Where the records of `captionbox caption` go: standard output, a file, text files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from captionbox.cli.output.endings import UsageError
from captionbox.cli.output.format_names import Format
from captionbox.cli.output.formats import LINE_FORMATS, Past, Record
from captionbox.cli.output.journal import Journal, NoJournal
from captionbox.cli.output.parquet_file import ParquetFile
from captionbox.cli.output.policies import Existing, check_policy
from captionbox.cli.output.record_file import RecordFile, RecordFileError
from captionbox.cli.run.run import Sink, StandardOutput
from captionbox.cli.texts.sidecars import Sidecars


@dataclass(frozen=True, slots=True)
class Policy:
    """How records are written.

    Attributes:
        existing: what is done about images that have a text already.
        preserve_human: whether texts that a person wrote stay in any case.
        retry_failed: whether images recorded as failed are asked for again.
        prefix: goes before every caption.
        suffix: goes after it.
        extension: ending of text files, with its dot.
        renew: texts of ours are written anew where the picture has changed since.
    """

    existing: Existing = Existing.SKIP
    preserve_human: bool = False
    retry_failed: bool = False
    prefix: str = ""
    suffix: str = ""
    extension: str = ".txt"
    renew: bool = False


class Affixed:
    """Puts prefix and suffix to the captions that go to another sink."""

    def __init__(self, sink: Sink, prefix: str, suffix: str) -> None:
        self._sink, self._prefix, self._suffix = sink, prefix, suffix

    def past(self, source: str) -> Past:
        """As the other sink."""
        return self._sink.past(source)

    def write(self, record: Record) -> None:
        """As the other sink."""
        self._sink.write(replace(record, prefix=self._prefix, suffix=self._suffix))

    def close(self) -> None:
        """As the other sink."""
        self._sink.close()


def open_sink(written: Format, out: Path | None, policy: Policy, journal: Journal) -> Sink:
    """Return where the records go.

    Raises:
        UsageError: the file cannot be used, or the policy not be kept.
    """
    check_policy(policy.existing, policy.preserve_human, written)
    sink = _bare(written, out, policy, journal)
    return Affixed(sink, policy.prefix, policy.suffix) if policy.prefix + policy.suffix else sink


def _bare(written: Format, out: Path | None, policy: Policy, journal: Journal) -> Sink:
    if written.is_sidecar:
        if out is not None:
            journal.making(out)
            out.mkdir(parents=True, exist_ok=True)
        return _sidecars(out, policy, journal)
    keep = policy.existing is not Existing.OVERWRITE
    try:
        if written is Format.PARQUET:
            if out is None:
                raise UsageError("--format parquet needs --out")
            return ParquetFile(out, keep, policy.retry_failed, journal)
        lines = LINE_FORMATS[written]()
        if out is None:
            return StandardOutput(lines)
        return RecordFile(out, lines, keep, policy.retry_failed, journal)
    except RecordFileError as error:
        raise UsageError(str(error)) from error


def _sidecars(out: Path | None, policy: Policy, journal: Journal) -> Sidecars:
    return Sidecars(
        out,
        policy.existing is not Existing.OVERWRITE,
        policy.retry_failed,
        existing=policy.existing,
        preserve_human=policy.preserve_human,
        renew=policy.renew,
        extension=policy.extension,
        journal=journal,
    )


class _Nothing:
    """Knows nothing of earlier runs."""

    def past(self, source: str) -> Past:
        """Every image is new."""
        return Past.NEW

    def write(self, record: Record) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def looking_only(written: Format, out: Path | None, policy: Policy) -> Iterator[Sink]:
    """Give a sink that tells what earlier runs made of an image, and changes nothing.

    Raises:
        UsageError: as `open_sink`.
    """
    check_policy(policy.existing, policy.preserve_human, written)
    with TemporaryDirectory(prefix="captionbox-") as folder:
        if written is Format.PARQUET and out is not None:
            written, out = Format.JSONL, out.with_name(f"{out.name}.jsonl")
        if out is not None and not written.is_sidecar:
            copy = Path(folder, "copy")
            if out.exists():
                try:
                    shutil.copyfile(out, copy)
                except OSError as error:
                    raise UsageError(f"cannot read {out}: {error.strerror or error}") from error
            out = copy
        if written.is_sidecar:
            sink: Sink = _sidecars(out, policy, NoJournal())
        elif out is None:
            sink = _Nothing()
        else:
            sink = _bare(written, out, policy, NoJournal())
        try:
            yield sink
        finally:
            sink.close()

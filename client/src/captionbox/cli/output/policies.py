"""What becomes of images that have a text already."""

from __future__ import annotations

from enum import StrEnum

from captionbox.cli.output.endings import UsageError
from captionbox.cli.output.format_names import Format
from captionbox.images import SUFFIXES


class Existing(StrEnum):
    """What is done about an image that has a text already."""

    SKIP = "skip"
    OVERWRITE = "overwrite"
    APPEND = "append"
    MISSING_ONLY = "missing-only"


def chosen_policy(named: Existing | None, skip_existing: bool, overwrite: bool) -> Existing:
    """Return the policy that the options of a command line name together.

    Raises:
        UsageError: they name two.
    """
    older = Existing.SKIP if skip_existing and not overwrite else Existing.OVERWRITE
    if named is None:
        return older
    if older is Existing.OVERWRITE and named is not older:
        raise UsageError(f"--existing {named} and --overwrite exclude each other")
    return named


def check_policy(policy: Existing, preserve_human: bool, written: Format) -> None:
    """Refuse what a format cannot keep.

    Raises:
        UsageError: says why.
    """
    if written.is_sidecar:
        return
    if policy is Existing.APPEND:
        raise UsageError("--existing append is for text files and descriptions: use --format txt")
    if preserve_human and policy is Existing.OVERWRITE:
        raise UsageError(
            f"--preserve-human: nothing in a file of the format {written} tells who wrote a text; "
            "leave out --overwrite, which is what replaces texts there"
        )


def checked_extension(extension: str) -> str:
    """Return the ending of text files, with its dot.

    Raises:
        UsageError: it is none, or that of images.
    """
    ending = extension if extension.startswith(".") else f".{extension}"
    if len(ending) < 2 or not ending[1:].isprintable() or set(ending) & set("/\\ "):
        raise UsageError(f"--caption-extension is like .txt or .caption, not {extension!r}")
    if ending.lower() in SUFFIXES:
        raise UsageError(f"--caption-extension {ending} is that of images, which stay as they are")
    return ending

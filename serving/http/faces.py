"""Which interface a path belongs to: our own, or that of other software that is spoken here."""

from __future__ import annotations

OWN = "captionbox"
"""Name of our own interface."""

_names: dict[str, str] = {}


def name_face(prefix: str, name: str) -> None:
    """Call the interface of every path that begins with `prefix` by a name, in metrics and log."""
    _names[prefix] = name


def face_of(path: str) -> str:
    """Return the name of the interface that a path belongs to.

    Of several prefixes that the path begins with, the longest holds.
    """
    prefix = max(filter(path.startswith, _names), key=len, default=None)
    return OWN if prefix is None else _names[prefix]

"""A web site on disk: its pages, the images that lack an alternative text, and where those lie."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from captionbox.cli.output.endings import UsageError
from captionbox.cli.output.journal import Journal
from captionbox.cli.output.part_file import replacing
from captionbox.cli.sources.folders import Exclusions, is_left_out
from captionbox.cli.sources.html_images import (
    PageError,
    base_address,
    fill_alt,
    missing_alt,
    read_page,
    start_tags,
)
from captionbox.cli.sources.img_tags import is_spacer, is_template
from captionbox.cli.sources.sources import tidy
from captionbox.errors import ImageInputError
from captionbox.images import Upload, load

PAGE_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})

# A host that cannot exist (RFC 2606) stands for the site while addresses are resolved.
_HOST = "site.invalid"


@dataclass(frozen=True, slots=True)
class Change:
    """A page whose images have all been asked for: as it is, as it is to be, captions put in."""

    page: Path
    old: bytes
    new: bytes
    count: int


@dataclass
class Site:
    """A site's pages and the images in them that lack an `alt`.

    Attributes:
        root: folder that addresses like `/logo.png` begin at.
        left: pages and images that are left alone, each with the reason, for people.
    """

    root: Path
    left: list[str] = field(default_factory=list)
    _pending: dict[Path, set[str]] = field(default_factory=dict)
    _pages_of: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    _captions: dict[str, str | None] = field(default_factory=dict)

    def add(self, page: Path) -> None:
        """Look for images without `alt` in a page."""
        try:
            content = read_page(page.read_bytes())
        except PageError as error:
            self.left.append(f"{page} is left alone: {error}")
            return
        base = base_address(content)
        images: set[str] = set()
        for _, address in missing_alt(content):
            image = self.locate(page, base, address)
            if image is not None and _is_spacer(image):
                continue
            if image is None:
                shown = f"src {address[:100]!r}" if address else "no src"
                self.left.append(f"{page}: an image with {shown} is left alone")
            elif image not in images:
                images.add(image)
                self._pages_of[image].append(page)
        if images:
            self._pending[page] = images

    def images(self) -> list[str]:
        """Return the images that need a caption, each once, in the pages' order."""
        return list(self._pages_of)

    def answer(self, image: str, caption: str | None) -> Iterator[Change]:
        """Take an image's caption, and yield the changes to pages that wait for nothing else."""
        self._captions[image] = caption
        for page in self._pages_of[image]:
            self._pending[page].discard(image)
            if not self._pending[page]:
                change = self._change(page)
                if change.count:
                    yield change

    def locate(self, page: Path, base: str, address: str) -> str | None:
        """Return the path or URL of an image, or None where it cannot be had.

        Args:
            page: the page that shows it.
            base: the page's `<base href>`.
            address: its `src`.
        """
        if address[:5].lower() == "data:":
            return address
        if not address or is_template(address):
            return None
        place = quote(os.fsencode(os.path.relpath(page, self.root)))
        try:
            here = urljoin(urljoin(f"https://{_HOST}/{place}", base), address.replace("\\", "/"))
            parts = urlsplit(here)
        except ValueError:
            return None
        if parts.scheme not in ("http", "https"):
            return None
        if parts.netloc != _HOST:
            return tidy(parts._replace(fragment="").geturl())
        inside = os.path.normpath(os.fsdecode(unquote_to_bytes(parts.path)).lstrip("/"))
        # `%2e%2e` must not lead out of the site: what is read here is sent to a server.
        outside = PurePath(inside).parts[:1] == ("..",)
        return None if outside else os.path.normpath(self.root / inside)

    def _change(self, page: Path) -> Change:
        old = page.read_bytes()
        content = read_page(old)
        base = base_address(content)

        def caption_of(address: str) -> str | None:
            image = self.locate(page, base, address)
            return None if image is None else self._captions.get(image)

        return Change(page, old, *fill_alt(content, caption_of))


def pages(site: Path, excluded: Exclusions | None = None) -> list[Path]:
    """Return a page itself, or the pages in a folder and its folders.

    Not those that are hidden, in folders of systems, or excluded.

    Raises:
        UsageError: there is none.
    """
    excluded = excluded or Exclusions()
    if not site.is_dir():
        if site.suffix.lower() not in PAGE_SUFFIXES and not _is_page(site):
            raise UsageError(f"{site} is not an HTML page, and has no images in it")
        return [site]
    found: list[Path] = []
    for place, folders, files in os.walk(site):
        folders[:] = sorted(
            name
            for name in folders
            if not is_left_out(name) and not excluded.cover(os.path.join(place, name))  # noqa: PTH118
        )
        names = (name for name in sorted(files) if not name.startswith("."))
        found += [Path(place, name) for name in names if Path(name).suffix.lower() in PAGE_SUFFIXES]
    found = [page for page in found if not excluded.cover(str(page))]
    if not found:
        raise UsageError(f"no pages ({', '.join(sorted(PAGE_SUFFIXES))}) found in {site}")
    return found


def _is_page(file: Path) -> bool:
    """Whether a file of another ending is a page, or a template for one."""
    try:
        tags = start_tags(read_page(file.read_bytes()).text)
    except PageError:
        return False
    return any(tag.name in ("html", "head", "body", "img") for tag in tags)


def _is_spacer(image: str) -> bool:
    if image[:5].lower() != "data:":
        try:
            with open(image, "rb") as file:  # noqa: PTH123
                return is_spacer(file.read(32))
        except (OSError, ValueError):
            return False  # on the web, or for the reader to say so
    try:
        loaded = load(image)
    except ImageInputError:
        return False
    return isinstance(loaded, Upload) and is_spacer(loaded.content)


def write(change: Change, journal: Journal) -> None:
    """Put a changed page in the place of the old one, all at once, with the same permissions."""
    page = change.page.resolve()
    journal.replacing(page, change.new)
    with replacing(page) as part:
        part.write_bytes(change.new)
        # Some file systems have no modes; the page matters more.
        with suppress(OSError):
            shutil.copymode(page, part)

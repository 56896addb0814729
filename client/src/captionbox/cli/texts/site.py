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
    Page,
    PageError,
    base_address,
    fill_alt,
    language,
    left_out,
    missing_alt,
    read_page,
    start_tags,
)
from captionbox.cli.sources.img_tags import is_spacer, is_template
from captionbox.cli.sources.markdown_images import (
    MARKDOWN_SUFFIXES,
    fill_texts,
    missing_texts,
    read_markdown,
)
from captionbox.cli.sources.sources import tidy
from captionbox.errors import ImageInputError
from captionbox.images import Upload, load

_HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})
PAGE_SUFFIXES = _HTML_SUFFIXES | MARKDOWN_SUFFIXES

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
        lang: the language of the captions; where a page is in another one, the image says so.
        left: pages and images that are left alone, each with the reason, for people.
        decorative: images that are to have no text: the page, the address, and why.
        foreign: pages in another language, by that.
    """

    root: Path
    lang: str = "en"
    left: list[str] = field(default_factory=list)
    decorative: list[tuple[str, str, str]] = field(default_factory=list)
    foreign: dict[Path, str] = field(default_factory=dict)
    _pending: dict[Path, set[str]] = field(default_factory=dict)
    _pages_of: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    _captions: dict[str, str | None] = field(default_factory=dict)

    def add(self, page: Path) -> None:
        """Look for images without `alt` in a page."""
        try:
            content = _read(page)
        except PageError as error:
            self.left.append(f"{page} is left alone: {error}")
            return
        if _is_markdown(page):
            base, addresses = "", list(missing_texts(content))
        else:
            base, addresses = base_address(content), [it for _, it in missing_alt(content)]
            self.decorative += [(str(page), *it) for it in left_out(content)]
            spoken = language(content)
            if addresses and spoken and spoken.partition("-")[0] != self.lang.partition("-")[0]:
                self.foreign[page] = spoken
        images: set[str] = set()
        for address in addresses:
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
        content = _read(page)
        base = "" if _is_markdown(page) else base_address(content)

        def caption_of(address: str) -> str | None:
            image = self.locate(page, base, address)
            return None if image is None else self._captions.get(image)

        if _is_markdown(page):
            return Change(page, old, *fill_texts(content, caption_of))
        lang = self.lang if page in self.foreign else ""
        return Change(page, old, *fill_alt(content, caption_of, lang))


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
        html, markdown = (", ".join(sorted(it)) for it in (_HTML_SUFFIXES, MARKDOWN_SUFFIXES))
        raise UsageError(f"no pages ({html}) found in {site}, and no Markdown ({markdown})")
    return found


def _is_markdown(page: Path) -> bool:
    return page.suffix.lower() in MARKDOWN_SUFFIXES


def _read(page: Path) -> Page:
    data = page.read_bytes()
    return read_markdown(data) if _is_markdown(page) else read_page(data)


def shortened(text: str, most: int | None) -> str:
    """Return a caption that is at most so long: whole words, no loose end."""
    if most is None or len(text) <= most:
        return text
    cut = text[: most + 1].rpartition(" ")[0] or text[:most]
    words = cut.rstrip(" ,;:-").split(" ")
    while len(words) > 1 and words[-1].lower() in _LOOSE:
        words.pop()
    return " ".join(words).rstrip(" ,;:-")


_LOOSE = frozenset("a an and at by for from in is of on or over the to under while with".split())
"""Words that nothing ends with."""


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

"""Pictures on the web on a server that fetches none: fetched here, bounded, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from captionbox import (
    AsyncCaptionbox,
    Captionbox,
    ImageFetchError,
    ImageInputError,
    NotFoundError,
    PermissionDeniedError,
)
from captionbox.images import Link
from captionbox.transport import downloads

from tests.client.captions import line, lines
from tests.client.conftest import Captionbox as Command
from tests.client.stand_in import StandIn, caption_of
from tests.picture_site import PICTURE, Site, serve_site


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site() as site:
        yield site


@pytest.fixture(params=["403", "404"], autouse=True)
def _server(request: pytest.FixtureRequest, stand_in: StandIn) -> None:
    """The server says that it fetches nothing, or has no such route."""
    if request.param == "403":
        stand_in.fetches = False
    else:
        stand_in.routes.remove("/caption_url")


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def call(kind: str, stand_in: StandIn, method: str, *arguments: Any, **settings: Any) -> Any:
    """Call a method of a client of that kind."""
    if kind == "sync":
        with Captionbox(stand_in.url, **settings) as client:
            return getattr(client, method)(*arguments)

    async def run() -> Any:
        async with AsyncCaptionbox(stand_in.url, **settings) as client:
            return await getattr(client, method)(*arguments)

    return asyncio.run(run())


def test_only_on_request(kind: str, stand_in: StandIn, site: Site) -> None:
    expected = NotFoundError if stand_in.fetches else PermissionDeniedError
    with pytest.raises(expected):
        call(kind, stand_in, "caption", site.url("/picture"))
    assert not site.asked


def test_a_picture(kind: str, stand_in: StandIn, site: Site) -> None:
    settings = {"fetch_urls": True, "api_key": "secret-key"}
    result = call(kind, stand_in, "caption", site.url("/picture"), **settings)
    assert result.text == caption_of(PICTURE)
    assert stand_in.paths == ["/caption_url", "/caption"]
    assert stand_in.asked["picture"] == 1
    assert "secret-key" not in str(site.asked)  # what belongs to the server stays there


def test_a_server_that_fetches_is_let(kind: str, stand_in: StandIn, site: Site) -> None:
    stand_in.fetches, stand_in.routes = True, stand_in.routes | {"/caption_url"}
    call(kind, stand_in, "caption", site.url("/picture"), fetch_urls=True)
    assert stand_in.paths == ["/caption_url"] and not site.asked


def test_a_batch(kind: str, stand_in: StandIn, site: Site) -> None:
    images = [site.url("/picture"), PICTURE, site.url("/missing"), site.url("/picture"), PICTURE]
    outcomes = call(kind, stand_in, "caption_batch", images, fetch_urls=True)
    assert [one.error is None for one in outcomes] == [True, True, False, True, True]
    assert {one.result.text for one in outcomes if one.result} == {caption_of(PICTURE)}
    # That the server fetches nothing is asked once.
    assert stand_in.paths.count("/caption_url") == 1


@pytest.mark.parametrize(
    ("path", "reason", "later"),
    [
        ("/missing", "404 Not Found", False),
        ("/status?code=503", "503", True),
        ("/status?code=429", "429", True),
        ("/status?code=204", "204", False),
        ("/endless", "larger than 1 MiB", False),
        ("/announced?bytes=99999999999", "larger than 1 MiB", False),
        ("/trickle", "longer than 0.5 s", True),
        ("/silent", "nothing came in time", True),
        ("/nonsense", "", True),
        ("/cut", "", True),
        ("/hops?left=9", "more than 5 times", False),
        ("/go?to=file:///etc/passwd", "which is not http or https", False),
        ("/go?to=ftp://host/a.jpg", "leads to ftp://host/a.jpg, which is not http", False),
        ("/go?to=data:image/png;base64,AAAA", "no address", False),
        ("/go?to=http://127.0.0.1:9/", "connection refused", True),
        ("/go?to=http://[", "", True),
    ],
)
def test_what_goes_wrong_is_that_pictures_fault(
    kind: str,
    stand_in: StandIn,
    site: Site,
    path: str,
    reason: str,
    later: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloads, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(downloads, "MOST_SECONDS", 0.5)
    monkeypatch.setattr(downloads, "_TIMES", 0.6)
    with pytest.raises(ImageInputError, match=r"cannot fetch http://127\.0\.0\.1") as caught:
        call(kind, stand_in, "caption", site.url(path), fetch_urls=True)
    assert reason in str(caught.value)
    assert isinstance(caught.value, ImageFetchError) is later is caught.value.transient
    assert "/caption" not in stand_in.paths


@pytest.mark.parametrize("path", ["/hops?left=4", "/go?to=/picture&code=307", "/gzip"])
def test_what_goes_well(kind: str, stand_in: StandIn, site: Site, path: str) -> None:
    result = call(kind, stand_in, "caption", site.url(path), fetch_urls=True)
    assert result.text == caption_of(PICTURE)
    assert not any("cookie" in headers for _, headers in site.asked)


@pytest.mark.parametrize("url", ["http://", "http://[", "http://host:x/", "https://\0/"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ImageInputError, match="cannot fetch"):
        downloads.Downloads().fetch(Link(url))


def test_a_mixed_list(captionbox: Command, photos: Path, stand_in: StandIn, site: Site) -> None:
    good, gone, dead = site.url("/picture"), site.url("/missing"), "http://127.0.0.1:9/a.jpg"
    done = captionbox("caption", "photos/0.jpg", good, gone, dead, "photos/1.jpg", code=4)
    shown = lines(done.stdout)
    assert shown[:2] == [line(0), f"{good}\t{caption_of(PICTURE)}"]
    assert shown[2].startswith(f"{gone}\t\terror: cannot fetch")
    assert shown[3:] == [line(1)]
    assert len(lines(done.stderr)) == 2  # and each once, by its name
    assert all(text.count("http://") == 1 for text in lines(done.stderr))


def test_dead_hosts_do_not_stop_a_run_and_are_asked_again(
    captionbox: Command, photos: Path, site: Site
) -> None:
    dead = [f"http://127.0.0.1:9/{number}.jpg" for number in range(12)]
    arguments = ("caption", *dead, "photos", site.url("/missing"), "-o", "out.csv")
    captionbox(*arguments, "--concurrency", "1", code=4)
    recorded = lines((photos.parent / "out.csv").read_bytes())
    assert len(recorded) == 1 + 6 + 1  # header, photos, and the one that is not there
    captionbox(*arguments, code=4)
    assert lines((photos.parent / "out.csv").read_bytes()) == recorded


def test_a_page(captionbox: Command, tmp_path: Path, site: Site) -> None:
    (tmp_path / "site").mkdir()
    page, other = tmp_path / "site" / "a.html", tmp_path / "site" / "b.html"
    page.write_text(f"<img src={site.url('/picture')}><img src={site.url('/missing')}><img src=p>")
    other.write_text("<img src=p>")
    (tmp_path / "site" / "p").write_bytes(PICTURE)
    done = captionbox("alt", "site", code=1)
    assert page.read_text().count("alt=") == 2 and other.read_text().count("alt=") == 1
    assert done.stdout == b"site/a.html: 2 written\nsite/b.html: 1 written\n"
    assert b"cannot fetch" in done.stderr


def test_what_the_server_could_not_fetch_is_one_pictures_fault(
    captionbox: Command, photos: Path, stand_in: StandIn
) -> None:
    """A server that fetches, and meets dead hosts one after the other."""
    stand_in.fetches, stand_in.routes = True, stand_in.routes | {"/caption_url"}
    body = b'{"type": "/problems/url-unreachable", "title": "URL unreachable", "status": 502}'
    stand_in.script = [(502, {}, body)] * 9
    urls = [f"http://host/{number}.jpg" for number in range(9)]
    done = captionbox("caption", *urls, "photos", "--concurrency", "1", code=4)
    assert lines(done.stdout) == [line(number) for number in range(6)]

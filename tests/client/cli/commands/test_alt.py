"""`captionbox alt`: a site's pages."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from captionbox.cli.texts.site import Site, shortened

from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of, picture


def alt(text: str) -> bytes:
    return b' alt="' + caption_of(picture(text)).encode() + b'"'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    for name, content in {
        "index.html": b'<img src="img/a.jpg">\r\n<img src=/img/b%20c.jpg?v=1#x><img alt="" src=x>',
        "blog/post.htm": b'<base href="/img/"><IMG SRC=a.jpg><img src="./b c.jpg">\n',
        "blog/fine.html": b"<p>No images.</p>",
        ".git/x.html": b"<img src=/img/a.jpg>",
        "notes.txt": b"<img src=img/a.jpg>",
        "img/a.jpg": picture("a"),
        "img/b c.jpg": picture("bc"),
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_a_site(captionbox: Captionbox, site: Path, stand_in: StandIn) -> None:
    before = contents(site)
    (site / "index.html").chmod(0o640)
    done = captionbox("alt", "site")
    assert done.stdout == b"site/index.html: 2 written\nsite/blog/post.htm: 2 written\n"
    after = contents(site)
    assert {name for name in after if after[name] != before.get(name)} == {
        "index.html",
        "blog/post.htm",
    }
    assert after["index.html"] == (
        b"<img" + alt("a") + b' src="img/a.jpg">\r\n<img' + alt("bc")
        + b' src=/img/b%20c.jpg?v=1#x><img alt="" src=x>'
    )  # fmt: skip
    assert after["blog/post.htm"] == (
        b'<base href="/img/"><IMG' + alt("a") + b" SRC=a.jpg><img" + alt("bc")
        + b' src="./b c.jpg">\n'
    )  # fmt: skip
    assert (site / "index.html").stat().st_mode & 0o777 == 0o640
    assert stand_in.asked == {"a.jpg": 1, "b c.jpg": 1}
    assert captionbox("alt", "site").stdout == b""
    assert stand_in.asked == {"a.jpg": 1, "b c.jpg": 1}


def test_a_dry_run_writes_nothing_and_its_diff_can_be_applied(
    captionbox: Captionbox, site: Path
) -> None:
    before = contents(site)
    diff = captionbox("alt", "--dry-run", "site").stdout
    assert contents(site) == before
    captionbox("alt", "site")
    after = contents(site)
    for name, content in before.items():
        (site / name).write_bytes(content)
    subprocess.run(
        ["patch", "-p0", "--binary"], input=diff, cwd=site.parent, check=True, capture_output=True
    )
    assert contents(site) == after


def test_one_page(captionbox: Captionbox, site: Path) -> None:
    (site / "blog" / "one.html").write_bytes(b"<img src=../img/a.jpg><img src=/img/a.jpg>")
    captionbox("alt", "site/blog/one.html", "--root", "site")
    found = (site / "blog" / "one.html").read_bytes()
    assert found == b"<img" + alt("a") + b" src=../img/a.jpg><img" + alt("a") + b" src=/img/a.jpg>"
    assert b'alt="A' not in (site / "index.html").read_bytes()


def test_images_elsewhere(captionbox: Captionbox, tmp_path: Path, stand_in: StandIn) -> None:
    inline = "data:image/jpeg;base64," + base64.b64encode(picture("inline")).decode()
    page = tmp_path / "page.html"
    page.write_text(
        f"<img src=http://host/a.jpg#x><img src=//cdn/b.jpg><img src='{inline}'>"
        "<img src=blob:x><img><img src=javascript:x><img src='http://[x'>"
    )
    done = captionbox("alt", "page.html")
    assert {"http://host/a.jpg", "https://cdn/b.jpg", "image"} == set(stand_in.asked)
    assert done.stderr.decode().splitlines() == [
        "page.html: an image with src 'blob:x' is left alone",
        "page.html: an image with no src is left alone",
        "page.html: an image with src 'javascript:x' is left alone",
        "page.html: an image with src 'http://[x' is left alone",
    ]
    assert page.read_text().count("alt=") == 3


@pytest.mark.parametrize(
    "address",
    ["../../secret.jpg", "/../secret.jpg", "%2e%2e/secret.jpg", "/%2e%2e%2fsecret.jpg",
     "a/..%2f..%2fsecret.jpg", "..\\..\\secret.jpg"],
)  # fmt: skip
def test_nothing_outside_the_site_is_read(tmp_path: Path, address: str) -> None:
    root = tmp_path / "site"
    root.mkdir()
    found = Site(root).locate(root / "index.html", "", address)
    assert found is None or Path(found).is_relative_to(root)


def test_what_fails_is_told_and_the_rest_is_written(
    captionbox: Captionbox, site: Path, stand_in: StandIn
) -> None:
    (site / "img" / "a.jpg").write_bytes(picture("BROKEN"))
    done = captionbox("alt", "site", code=1)
    assert done.stderr.startswith(b"site/img/a.jpg: 422 Broken image")
    assert (site / "blog/post.htm").read_bytes() == (
        b'<base href="/img/"><IMG SRC=a.jpg><img' + alt("bc") + b' src="./b c.jpg">\n'
    )


def test_without_a_server_nothing_changes(captionbox: Captionbox, site: Path) -> None:
    before = contents(site)
    arguments = ("--base-url", "http://127.0.0.1:9", "--max-retries", "0")
    done = captionbox("alt", "site", *arguments, code=4)
    assert done.stderr.startswith(b"captionbox: cannot reach")
    assert contents(site) == before


def test_pages_in_odd_encodings_are_left_alone(captionbox: Captionbox, tmp_path: Path) -> None:
    content = b"<meta charset=iso-2022-jp><img src=a.jpg>"
    (tmp_path / "page.html").write_bytes(content)
    done = captionbox("alt", "page.html")
    assert b"page.html is left alone: pages in iso-2022-jp" in done.stderr
    assert (tmp_path / "page.html").read_bytes() == content


def test_a_link_stays_a_link(captionbox: Captionbox, site: Path) -> None:
    (site.parent / "page.html").symlink_to(site / "index.html")
    captionbox("alt", "page.html", "--root", "site")
    assert (site.parent / "page.html").is_symlink()
    assert b'alt="A' in (site / "index.html").read_bytes()


def test_no_such_site(captionbox: Captionbox) -> None:
    assert captionbox("alt", "nowhere", code=2).stderr == b"captionbox: nowhere does not exist\n"


def test_where_nothing_can_be_written(
    site: Path, stand_in: StandIn, command_environment: dict[str, str]
) -> None:
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    done = subprocess.run(
        # As on a full disk, for root too: no file may have a single byte.
        ["bash", "-c", "ulimit -f 0; exec captionbox alt site"],
        cwd=site.parent,
        env=command_environment | {"CAPTIONBOX_BASE_URL": stand_in.url},
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert b"File too large" in done.stderr and b"Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_markdown(captionbox: Captionbox, site: Path) -> None:
    page = site / "post.mdx"
    page.write_bytes(b"---\ncover: img/a.jpg\n---\n![](img/a.jpg) ![](/img/b%20c.jpg)\n")
    done = captionbox("alt", "site/post.mdx")
    assert done.stdout == b"site/post.mdx: 2 written\n"
    a, bc = (caption_of(picture(one)).encode() for one in ("a", "bc"))
    written = b"---\ncover: img/a.jpg\n---\n![" + a + b"](img/a.jpg) ![" + bc
    assert page.read_bytes() == written + b"](/img/b%20c.jpg)\n"


def test_short_texts(captionbox: Captionbox, site: Path) -> None:
    captionbox("alt", "site", "--max-chars", "20")
    assert b'alt="A picture called"' in (site / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("A dog runs on the beach.", None, "A dog runs on the beach."),
        ("A dog runs on the beach.", 24, "A dog runs on the beach."),
        ("A dog runs on the beach.", 18, "A dog runs"),
        ("A dog, a cat", 8, "A dog"),
        ("Donaudampfschiff", 5, "Donau"),
    ],
)
def test_texts_end_with_a_word(text: str, most: int | None, short: str) -> None:
    assert shortened(text, most) == short


def test_the_language_of_the_page(captionbox: Captionbox, site: Path) -> None:
    page = site / "de.html"
    page.write_bytes(b'<html lang="de-AT"><img src="img/a.jpg"><img lang=fr src="img/a.jpg">')
    captionbox("alt", "site/de.html")
    assert page.read_bytes() == (
        b'<html lang="de-AT"><img lang="en"' + alt("a") + b' src="img/a.jpg"><img' + alt("a")
        + b' lang=fr src="img/a.jpg">'
    )  # fmt: skip
    page.write_bytes(b'<html lang="en-GB"><img src="img/a.jpg">')
    captionbox("alt", "site/de.html")
    assert b'<img alt="' in page.read_bytes()
    assert b"--lang is like" in captionbox("alt", "site", "--lang", '"', code=2).stderr


def test_what_was_left_alone(captionbox: Captionbox, site: Path) -> None:
    (site / "blog" / "fine.html").write_bytes(
        b'<img src=x.jpg role=none><img src="{{ a }}"><img aria-hidden=true src=y.jpg>'
    )
    told = json.loads(captionbox("alt", "site", "--json").stdout)
    assert told["written"] == {"site/index.html": 2, "site/blog/post.htm": 2}
    assert len(told["left"]) == 1
    assert {(one["src"], one["reason"]) for one in told["decorative"]} == {
        ("x", 'decorative: alt=""'),
        ("x.jpg", "decorative: role"),
        ("y.jpg", "decorative: aria-hidden"),
    }
    assert b"decorative: role" in captionbox("alt", "site", "--report").stdout

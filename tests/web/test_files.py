"""The pages as files: headers, caching, compression. No browser."""

from __future__ import annotations

import re

import httpx
import pytest

from serving.api.pages import SECURITY_HEADERS, WEB


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/docs", "text/html"),
        ("/css/base.css", "text/css"),
        ("/js/main.js", "text/javascript"),
        ("/js/server/api.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
        ("/docs/swagger-ui.css", "text/css"),
        ("/docs/swagger-ui.js", "text/javascript"),
    ],
)
def test_headers_caching_and_compression(client: httpx.Client, path: str, kind: str) -> None:
    client.headers["Accept"] = f"{kind},*/*;q=0.5"
    response = client.get(path)
    assert response.headers["content-type"].startswith(kind)
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["cache-control"] == "no-cache"
    known = client.get(path, headers={"If-None-Match": response.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["content-security-policy"]
    head = client.head(path, headers={"Accept-Encoding": "identity"})
    assert head.status_code == 200 and head.content == b""


def test_no_script_or_style_stands_in_the_pages_themselves() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy and "*" not in policy
    for page in ("index.html", "docs.html"):
        text = (WEB / page).read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text), page

"""Proxies and certificates of the environment: used, or named in a sentence; never a traceback."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import string
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from captionbox import APIConnectionError, AsyncCaptionbox, Captionbox
from captionbox.transport.network import Route, certificates, is_excepted, reason_of, route_to
from hypothesis import example, given
from hypothesis import strategies as st

from tests.client.conftest import Captionbox as Command
from tests.client.stand_in import StandIn, answer_to, picture


@pytest.mark.parametrize(
    ("url", "no_proxy", "excepted"),
    [
        ("http://localhost:3000", "localhost", True),
        ("http://localhost:3000", "localhost,127.0.0.1,::1", True),
        ("http://LocalHost", " localhost ,", True),
        ("http://127.0.0.1:3000", "localhost 127.0.0.1", True),
        ("http://127.0.0.1:3000", "127.0.0.0/8", True),
        ("http://127.0.0.1:3000", "127.0.0.1:3000", True),
        ("http://127.0.0.1:3000", "127.0.0.1:80", False),
        ("http://127.0.0.1", "127.0.0.1:80", True),
        ("https://10.1.2.3", "10.1.2.3:443", True),
        ("http://[::1]:3000", "::1", True),
        ("http://[::1]:3000", "[::1]", True),
        ("http://[::1]:3000", "[::1]:3000", True),
        ("http://[::1]:3000", "[::1]:3001", False),
        ("http://[0:0::1]", "::1", True),
        ("http://[fd07:b51a:cc66:f0::5]", "fd07:b51a:cc66:f0::/64", True),
        ("http://[fd07:b51a:cc66:f1::5]", "fd07:b51a:cc66:f0::/64", False),
        ("http://[fd07::5]", "[fd07::]/16", True),
        ("http://127.0.0.1", "::/0", False),
        ("http://a.example.com", "example.com", True),
        ("http://a.example.com", ".example.com", True),
        ("http://a.example.com", "*.example.com", True),
        ("http://example.com.", "example.com", True),
        ("http://notexample.com", "example.com", False),
        ("http://example.com", "a.example.com", False),
        ("http://example.com", "http://example.com", True),
        ("http://anything", "*", True),
        ("http://anything", "a,*", True),
        ("http://anything", "", False),
        ("http://anything", ", .,:,[]", False),
    ],
)
def test_no_proxy(url: str, no_proxy: str, excepted: bool) -> None:
    assert is_excepted(httpx.URL(url), no_proxy) is excepted


@given(
    address=st.ip_addresses(),
    length=st.integers(0, 32),
    rest=st.lists(st.text(string.printable, max_size=8)),
    brackets=st.booleans(),
)
def test_every_network_covers_its_addresses(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    length: int,
    rest: list[str],
    brackets: bool,
) -> None:
    six = address.version == 6
    network = ipaddress.ip_network((address, length), strict=False)
    text = f"[{network.network_address}]/{length}" if six and brackets else str(network)
    url = httpx.URL(f"http://[{address}]/" if six else f"http://{address}/")
    assert is_excepted(url, ",".join([*rest, text]))


@given(st.text(max_size=60))
@example("[::1]:99999999")
@example("::/129")
@example("1.2.3.4/x")
def test_no_exception_is_too_odd(no_proxy: str) -> None:
    is_excepted(httpx.URL("http://host:3000"), no_proxy)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "SOCKS needs"),
        ("all_proxy", "socks5h://127.0.0.1:1080", "SOCKS needs"),
        ("ALL_PROXY", "socks://127.0.0.1:7890/", "SOCKS needs"),
        ("HTTP_PROXY", "ftp://host", "http://, https:// or socks5://"),
        ("http_proxy", "http://", "no host"),
        ("HTTP_PROXY", "http://host:port", "port"),
        ("HTTP_PROXY", "http://me:secret@host:port", ""),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for made in (Captionbox, AsyncCaptionbox):
        with pytest.raises(ValueError, match=rf"^{variable} names a proxy") as caught:
            made("http://host")
        assert words in str(caught.value) and "NO_PROXY" in str(caught.value)
        assert "secret" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "host")
    Captionbox("http://host").close()


def test_a_proxy_for_the_other_scheme_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert route_to(httpx.URL("http://host")).proxy is None
    found = route_to(httpx.URL("https://host"))
    assert found.shown() == "the proxy http://proxy:3128 of HTTPS_PROXY"
    monkeypatch.setenv("ALL_PROXY", "me:secret@other:1")
    found = route_to(httpx.URL("http://host"))
    assert found.proxy is not None and found.proxy.auth == ("me", "secret")
    assert found.shown() == "the proxy http://other:1 of ALL_PROXY"
    monkeypatch.setenv("ALL_PROXY", "")
    assert route_to(httpx.URL("http://host")) == Route()


class _Proxy(BaseHTTPRequestHandler):
    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(self.path)
        body = httpx.Response(200, json=answer_to(b"proxied")).content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_proxies_are_used_and_no_proxy_is_honoured(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    proxy = HTTPServer(("127.0.0.1", 0), type("Proxy", (_Proxy,), {"asked": asked}))
    Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.server_port}")
    with Captionbox(stand_in.url) as client:
        client.caption(picture("a"))

    async def ask() -> None:
        async with AsyncCaptionbox(stand_in.url) as client:
            await client.caption(picture("a"))

    asyncio.run(ask())
    assert asked == [f"{stand_in.url}/caption"] * 2 and not stand_in.asked
    monkeypatch.setenv("no_proxy", "::1,127.0.0.0/8")
    with Captionbox(stand_in.url) as client:
        client.caption(picture("a"))
    assert len(asked) == 2 and sum(stand_in.asked.values()) == 1
    proxy.shutdown()
    proxy.server_close()


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:9")
    with (
        Captionbox("http://host", max_retries=0) as client,
        pytest.raises(
            APIConnectionError,
            match=r"cannot reach http://host: the proxy http://127.0.0.1:9 of HTTP_PROXY: conn",
        ),
    ):
        client.models()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match=rf"^{variable} names .*none\.pem, which"):
        Captionbox("https://host")


def test_certificates_that_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "a.pem"))
    with pytest.raises(ValueError, match=r"SSL_CERT_FILE names .*a\.pem, which cannot be used"):
        certificates()


def test_https_where_http_is_spoken(stand_in: StandIn) -> None:
    with (
        Captionbox(stand_in.url.replace("http:", "https:")) as client,
        pytest.raises(APIConnectionError, match="no encrypted connection could be made") as caught,
    ):
        client.models()
    assert "tries" not in str(caught.value)  # no retry cures it


def test_an_unknown_certificate_says_what_to_do() -> None:
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    told = reason_of(error, Route())
    assert "not trusted (" in told and "self-signed" in told and "SSL_CERT_FILE" in told


def test_several_addresses_of_a_host_are_one_reason() -> None:
    error = httpx.ConnectError("All connection attempts failed")
    both = [ConnectionRefusedError(111, "refused"), OSError(101, "unreachable")]
    error.__context__ = ExceptionGroup("several", both)
    assert reason_of(error, Route()) == "connection refused"
    error = httpx.ConnectError("odd")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    assert "no host of that name" in reason_of(error, Route())
    error.__cause__ = error
    assert reason_of(error, Route()) == "odd"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080"),
        ("HTTP_PROXY", "ftp://host"),
        ("SSL_CERT_FILE", "/nonexistent.pem"),
    ],
)
def test_the_command_says_one_sentence(captionbox: Command, variable: str, value: str) -> None:
    settings: dict[str, Any] = {variable: value}
    done = captionbox("check", code=2, **settings)
    assert done.stderr.startswith(f"captionbox: {variable} names ".encode())
    assert done.stderr.count(b"\n") == 1


def test_the_command_and_exceptions(captionbox: Command) -> None:
    for no_proxy in ("localhost,127.0.0.1,::1", "localhost,[::1],127.0.0.1", "127.0.0.0/8"):
        captionbox("check", ALL_PROXY="socks5://127.0.0.1:1080", NO_PROXY=no_proxy)

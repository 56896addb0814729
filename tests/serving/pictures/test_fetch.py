"""Fetching from URLs: every way into the inside network is shut. Real servers, real sockets."""

from __future__ import annotations

import asyncio
import base64
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.base.problems import Problem
from serving.pictures.data_url import read_data_url
from serving.pictures.fetch import MAX_URL_LENGTH, USER_AGENT, Fetcher, Lookup
from tests.picture_site import PICTURE, Site, serve_site

LIMIT = 200_000
HERE = ("127.0.0.1/32",)


@dataclass
class Allowed:
    """Settings of the fetcher."""

    url_ports: tuple[int, ...]
    url_networks: tuple[str, ...] = HERE
    allow_urls: bool = True
    url_timeout_s: float = 10.0
    max_upload_bytes: int = LIMIT


class Names:
    """A DNS that gives one list of addresses after the other, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with serve_site() as site:
        yield site


@pytest.fixture
def site(running: Site) -> Site:
    running.asked.clear()
    return running


def fetch(url: str, allowed: Allowed, lookup: Lookup | None = None) -> bytes:
    async def run() -> bytes:
        fetcher = Fetcher(allowed, lookup)
        try:
            return await fetcher.fetch(url)
        finally:
            await fetcher.close()

    return asyncio.run(run())


def refusal(url: str, allowed: Allowed, lookup: Lookup | None = None) -> Problem:
    with pytest.raises(Problem) as error:
        fetch(url, allowed, lookup)
    return error.value


def near(site: Site, **settings: object) -> Allowed:
    return Allowed((site.port,), **settings)  # type: ignore[arg-type]


# --- what works ----------------------------------------------------------------------------------


def test_a_picture_is_fetched_whatever_its_type_is_called(site: Site) -> None:
    assert fetch(site.url("/picture#part"), near(site)) == PICTURE
    (request,) = site.asked
    path, headers = request
    assert path == "/picture"
    assert headers["user-agent"] == USER_AGENT
    assert headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer", "x-request-id"} & set(headers)


def test_a_name_is_looked_up_once(site: Site) -> None:
    names = Names(["127.0.0.1"])
    assert fetch(site.url("/picture", "pictures.example"), near(site), names) == PICTURE
    assert names.asked == 1
    assert site.asked[0][1]["host"] == f"pictures.example:{site.port}"


def test_international_names(site: Site) -> None:
    assert fetch(site.url("/picture", "bücher.example"), near(site), Names(["127.0.0.1"]))
    assert site.asked[0][1]["host"].startswith("xn--bcher-kva.example")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed_without_cookies(site: Site, code: int) -> None:
    there = quote(site.url("/picture"))
    assert fetch(site.url(f"/go?code={code}&to={there}"), near(site)) == PICTURE
    assert "cookie" not in site.asked[1][1] and "referer" not in site.asked[1][1]


def test_three_redirects_and_no_more(site: Site) -> None:
    assert fetch(site.url("/hops?left=2"), near(site)) == PICTURE
    problem = refusal(site.url("/hops?left=3"), near(site))
    assert (problem.type_slug, problem.status) == ("url-answer", 422)
    assert "3" in problem.detail and len(site.asked) == 8


def test_the_proxy_of_the_environment_is_not_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert fetch(site.url("/picture"), near(site)) == PICTURE


# --- what the URL itself tells -------------------------------------------------------------------


def test_nothing_is_fetched_unless_that_is_allowed(site: Site) -> None:
    problem = refusal(site.url("/picture"), near(site, allow_urls=False))
    assert (problem.type_slug, problem.status) == ("urls-not-allowed", 403)
    assert not site.asked


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/a.jpg",
        "gopher://127.0.0.1:25/_HELO",
        "dict://127.0.0.1:11211/stats",
        "unix:///run/docker.sock",
        "blob:http://example.org/a",
        "javascript:alert(1)",
        "//example.org/a.jpg",
        "/etc/passwd",
        "example.org/a.jpg",
        "http:///a.jpg",
        "http://",
        "http:a",
        "http://[::1",
        "http://example.org:port/",
        "http://example.org:99999/",
        "",
        " ",
        "\x00",
        "http://exa mple.org/",
        "http://xn--1.-3ca/",  # begins like an international name, and is none
        "http://example.org/" + "x" * MAX_URL_LENGTH,
    ],
)
def test_urls_that_are_none_or_of_another_scheme(url: str) -> None:
    problem = refusal(url, Allowed((80, 443)), Names(["127.0.0.1"]))
    assert (problem.type_slug, problem.status) == ("url-refused", 422)


@pytest.mark.parametrize("user", ["user@", "user:secret@", ":secret@", "%40:@"])
def test_credentials_in_the_url(site: Site, user: str) -> None:
    problem = refusal(site.url("/picture", f"{user}127.0.0.1"), near(site))
    assert problem.type_slug == "url-refused" and "secret" not in problem.detail
    assert not site.asked


@pytest.mark.parametrize("port", [22, 25, 3000, 6379, 8080])
def test_other_ports(port: int) -> None:
    problem = refusal(f"http://127.0.0.1:{port}/", Allowed((80, 443)))
    assert problem.type_slug == "url-refused" and "80, 443" in problem.detail


# --- where it leads ------------------------------------------------------------------------------

LOOPBACK = (
    *("127.0.0.1", "127.0.0.2", "127.1", "0", "0.0.0.0", "2130706433", "017700000001"),
    *("0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1.", "①②⑦.⓪.⓪.①"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]"),
    *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]"),
    *("localhost", "LOCALHOST", "localhost.", "ip6-localhost"),
)


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_however_it_is_spelled(site: Site, host: str) -> None:
    """Asks the system's own resolver, which knows odd spellings of addresses."""
    problem = refusal(site.url("/picture", host), near(site, url_networks=()))
    assert problem.type_slug in ("url-refused", "url-unreachable"), problem.detail
    assert not site.asked


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.0.1", "[fd00:ec2::254]", "[fe80::1]"],
)
def test_private_addresses(address: str) -> None:
    problem = refusal(f"http://{address}/latest/meta-data/", Allowed((80,), ()))
    assert (problem.type_slug, problem.status) == ("url-refused", 422)
    assert problem.detail == "The URL leads to a refused address."


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]],
)
def test_names_of_private_addresses(
    site: Site, found: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    url = site.url("/picture", "inside.example")
    problem = refusal(url, near(site, url_networks=()), Names(found))
    assert problem.detail == "The URL leads to a refused address."
    assert not site.asked
    assert "inside.example" in caplog.text


def test_a_name_that_is_given_another_address_later(site: Site) -> None:
    """DNS rebinding: harmless when checked, then private. The second answer is never asked for."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    url = site.url("/picture", "rebind.example")
    assert fetch(url, near(site), names) == PICTURE
    assert names.asked == 1
    problem = refusal(url, near(site), names)
    assert problem.detail == "The URL leads to a refused address." and len(site.asked) == 1


def test_the_socket_itself_is_the_last_check(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if a name's addresses were not checked, none is connected to that is not allowed."""

    async def unchecked(self: object, host: str, port: int = 0, family: int = 0) -> list[object]:
        record = {"hostname": host, "host": "127.0.0.2", "port": port}
        return [{**record, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    monkeypatch.setattr("serving.pictures.fetch._Resolver.resolve", unchecked)
    problem = refusal(site.url("/picture", "odd.example"), near(site))
    assert problem.detail == "The URL leads to a refused address." and not site.asked


@pytest.mark.parametrize(
    "there",
    [
        "http://127.0.0.2:{port}/picture",
        "http://[::1]:{port}/picture",
        "http://169.254.169.254/",
        "http://user:pw@127.0.0.1:{port}/picture",
        "http://127.0.0.1:22/",
        "//127.0.0.2:{port}/picture",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "data:image/png;base64,AAAA",
        "http://[",
        "",
    ],
)
def test_redirects_are_checked_like_the_first_url(site: Site, there: str) -> None:
    there = there.format(port=site.port)
    problem = refusal(site.url(f"/go?to={quote(there)}"), near(site))
    assert problem.type_slug in ("url-refused", "url-answer"), problem.detail
    assert set(site.paths) == {site.paths[0]}


# --- what answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [204, 206, 304, 401, 403, 404, 418, 500, 503])
def test_answers_that_are_no_picture(site: Site, code: int) -> None:
    problem = refusal(site.url(f"/status?code={code}"), near(site))
    assert (problem.type_slug, problem.status) == ("url-answer", 422)
    assert str(code) in problem.detail


@pytest.mark.parametrize("path", ["/endless", f"/announced?bytes={LIMIT + 1}"])
def test_too_many_bytes(site: Site, path: str) -> None:
    problem = refusal(site.url(path), near(site))
    assert (problem.type_slug, problem.status) == ("too-large", 413)


def test_compressed_bodies_are_not_unpacked(site: Site) -> None:
    assert refusal(site.url("/gzip"), near(site)).type_slug == "url-answer"


@pytest.mark.parametrize("path", ["/trickle", "/silent"])
def test_slow_answers(site: Site, path: str) -> None:
    problem = refusal(site.url(path), near(site, url_timeout_s=0.3))
    assert (problem.type_slug, problem.status) == ("url-timeout", 504)


def test_a_slow_name_server() -> None:
    release = threading.Event()

    def slow(host: str, port: int) -> Sequence[str]:
        release.wait(5)
        return ["8.8.8.8"]

    began = time.monotonic()
    problem = refusal("http://slow.example/", Allowed((80,), url_timeout_s=0.2), slow)
    release.set()
    assert problem.type_slug == "url-timeout" and time.monotonic() - began < 4


@pytest.mark.parametrize("path", ["/cut", "/nonsense", "/headers"])
def test_answers_that_break_off_or_are_not_http(site: Site, path: str) -> None:
    problem = refusal(site.url(path), near(site))
    assert (problem.type_slug, problem.status) == ("url-unreachable", 502)


def test_what_cannot_be_reached(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    caplog.set_level(logging.INFO, "serving")
    for url, lookup in [
        (f"http://127.0.0.1:{port}/secret?token=1", None),
        (f"http://nowhere.example:{port}/", unknown),
        (f"http://{'x' * 70}.example:{port}/", None),
    ]:
        problem = refusal(url, Allowed((port,)), lookup)
        assert (problem.type_slug, problem.status) == ("url-unreachable", 502)
        assert problem.detail == "The URL cannot be reached from here."
    assert "token" not in caplog.text, "the log must not hold what may be secret"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for `pictures.example` that nobody but itself has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl: Debian's package `openssl`")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 2 -addext"
    name = "subjectAltName=DNS:pictures.example"
    files = ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([*command.split(), name, *files], check=True, capture_output=True, timeout=60)
    with path.open("ab") as whole:
        whole.write(path.with_suffix(".crt").read_bytes())
    return path


def test_https_trusts_known_certificates_only(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names = Names(["127.0.0.1"])
    with serve_site(context) as secure:
        url = secure.url("/picture", "pictures.example").replace("http:", "https:")
        assert refusal(url, near(secure), names).type_slug == "url-unreachable"
        assert not secure.asked
        trusting = ssl.create_default_context(cafile=certificate)
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
        assert fetch(url, near(secure), names) == PICTURE
        other = url.replace("pictures.", "others.")
        assert refusal(other, near(secure), names).type_slug == "url-unreachable"
        assert len(secure.asked) == 1


# --- data URLs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "content"),
    [
        ("data:image/png;base64," + base64.b64encode(PICTURE).decode(), PICTURE),
        ("DATA:;base64,aGk=", b"hi"),
        ("data:;BASE64,aGk", b"hi"),
        ("data:image/png;name=x;base64,aGk%3D", b"hi"),
        ("data:,a%20b,c", b"a b,c"),
        ("data:,", b""),
        ("data:;base64,aG\nk=", b"hi"),
        ("data:;base64,aG\r\nk=\r\n", b"hi"),
        ("data:;base64, a Gk\t=", b"hi"),
        (" \n data:image/png ; base64 ,aGk=", b"hi"),
        ("data:;base64,_-8=", b"\xff\xef"),
        ("data:;base64,%5F-8", b"\xff\xef"),
        ("data:;base64,aGk====", b"hi"),
        ("data:;base64,aGk=#shown", b"hi"),
        ("data:;base64,", b""),
        ("data:text/plain,a\nb c#d", b"ab c"),
        ("data:base64,aGk=", b"aGk="),
    ],
)
def test_data_urls_are_read_without_any_permission(url: str, content: bytes) -> None:
    assert fetch(url, Allowed((80,), allow_urls=False)) == content


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:image/png;base64",
        "data:;base64,!!!!",
        "data:;base64,a",
        "data:;base64,a=Gk",
        "data:;base64,aGkĀ",
    ],
)
def test_malformed_data_urls(url: str) -> None:
    assert refusal(url, Allowed((80,))).type_slug == "url-refused"


def test_a_data_url_over_the_limit() -> None:
    assert len(read_data_url("data:," + "x" * 100, 100)) == 100
    assert refusal("data:," + "x" * (LIMIT + 1), Allowed((80,))).type_slug == "too-large"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["", "data:", "http://", "https://[", "http://a@"]))
def test_any_text_is_a_picture_or_a_problem(text: str, start: str) -> None:
    def nowhere(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    try:
        fetch(start + text, Allowed((80, 443), ()), nowhere)
    except Problem as problem:
        assert problem.status in (422, 502)

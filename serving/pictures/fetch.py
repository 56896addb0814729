"""Fetches a picture from a URL that a stranger gave, without being led into the inside network.

- A host's name is resolved once, every address it has is checked, and the socket is made for a
  checked address only: a second, different answer of the DNS is never asked for.
- Redirects are followed by hand, each hop checked like the first.
- Size is counted while streaming, of the body as it comes: compressed bodies are refused.
- No cookies, no credentials, no proxy from the environment; a new connection each time.

What a client is told says no more of the inside than "refused address"; the log says why.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from serving.base.long_texts import read_long
from serving.base.problems import Problem
from serving.base.version import __version__
from serving.pictures.addresses import AddressPolicy
from serving.pictures.data_url import is_data_url, read_data_url, too_large

logger = logging.getLogger(__name__)

USER_AGENT = f"Captionbox/{__version__}"
MAX_REDIRECTS = 3
MAX_URL_LENGTH = 8192
"""Most characters of an http(s) URL; a data: URL may be as long as a request's body."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 64 * 1024
_LOOKUP_THREADS = 8
_REDIRECTS = (301, 302, 303, 307, 308)


class FetchSettings(Protocol):
    """What of the settings is needed here."""

    allow_urls: bool
    url_ports: tuple[int, ...]
    url_networks: tuple[str, ...]
    url_timeout_s: float

    @property
    def max_upload_bytes(self) -> int:
        """Most bytes a picture may have."""


class Lookup(Protocol):
    """Finds the addresses of a name. Blocking: runs in a thread."""

    def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of `host`; raises `OSError` where it has none."""


class Fetcher:
    """Fetches what URLs lead to. Belongs to one event loop.

    Args:
        settings: what is allowed.
        lookup: asks the DNS; the system's resolver by default.
    """

    def __init__(self, settings: FetchSettings, lookup: Lookup | None = None) -> None:
        self._settings = settings
        self._policy = AddressPolicy(settings.url_networks)
        self._resolver = _Resolver(lookup or _system_lookup, self._policy)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str) -> bytes:
        """Return the bytes that `url` (http, https or data) leads to.

        Raises:
            Problem: 403 URLs are not fetched here; 413 too large; 422 the URL may not be fetched,
                or what answers does not give a picture; 502 it cannot be reached; 504 it is slow.
        """
        if is_data_url(url):
            limit = self._settings.max_upload_bytes
            return await read_long(len(url), lambda: read_data_url(url, limit))
        if not self._settings.allow_urls:
            raise Problem("urls-not-allowed")
        start = self._check(url)
        try:
            async with asyncio.timeout(self._settings.url_timeout_s):
                return await self._follow(start)
        except TimeoutError:
            logger.info("fetching from %s took too long", start.host)
            raise Problem("url-timeout") from None
        except aiohttp.InvalidURL:
            raise Problem("url-refused", "That is not a URL.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            logger.info("cannot fetch from %s: %r", start.host, error)
            raise Problem("url-unreachable") from None

    async def close(self) -> None:
        """Let go of connections and threads."""
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def _check(self, text: str) -> URL:
        """Return the URL if it may be asked for, as far as the URL itself tells."""
        if len(text) > MAX_URL_LENGTH:
            raise Problem("url-refused", f"A URL may have at most {MAX_URL_LENGTH:,} characters.")
        try:
            url = URL(text)
            port = url.port  # raises for a port that is no number
            host = url.host  # raises for what only begins like an international name
        except (ValueError, TypeError):
            raise Problem("url-refused", "That is not a URL.") from None
        if url.scheme not in _DEFAULT_PORTS or not host:
            raise Problem("url-refused", "Only http, https and data URLs are fetched.")
        if not _HOST.fullmatch(url.raw_host or ""):
            raise Problem("url-refused", "The URL's host is not a valid name.")
        if url.raw_user is not None or url.raw_password is not None:
            raise Problem("url-refused", "A URL with a user name or password is not fetched.")
        if port not in self._settings.url_ports:
            allowed = ", ".join(map(str, self._settings.url_ports))
            raise Problem("url-refused", f"Only these ports are asked: {allowed}.")
        if _is_address(host) and not self._policy.permits(host):
            raise refused_address(host)
        return url.with_fragment(None)

    async def _follow(self, url: URL) -> bytes:
        session = self._open_session()
        for _ in range(MAX_REDIRECTS + 1):
            async with session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._read(response)
                location = response.headers.get("Location", "")
            url = self._check(_joined(url, location))
        raise Problem("url-answer", f"The address redirects more than {MAX_REDIRECTS} times.")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status != 200:
            raise Problem("url-answer", f"The address answered with status {response.status}.")
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Problem("url-answer", "The address sent a compressed body though asked not to.")
        limit = self._settings.max_upload_bytes
        if (response.content_length or 0) > limit:
            raise too_large(limit)
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > limit:
                raise too_large(limit)
        return bytes(body)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver,
                    use_dns_cache=False,
                    force_close=True,
                    limit=0,  # as many as requests are in progress
                    socket_factory=self._open_socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "User-Agent": USER_AGENT,
                    "Accept": "image/*",
                    "Accept-Encoding": "identity",
                },
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket for an address; the last check, of the very address connected to."""
        family, kind, protocol, _, address = info
        if not self._policy.permits(str(address[0])):
            raise refused_address(str(address[0]))
        return socket.socket(family=family, type=kind, proto=protocol)


class _Resolver(AbstractResolver):
    """Asks the DNS in threads of its own, and refuses names that lead anywhere private."""

    def __init__(self, lookup: Lookup, policy: AddressPolicy) -> None:
        self._lookup, self._policy = lookup, policy
        # Not the loop's own threads: slow name servers would hold those up for everyone.
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return every address of `host`, all of them checked."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, self._lookup, host, port)
        except UnicodeError as error:  # a label that is too long or empty
            raise OSError(str(error)) from None
        for address in found:
            # One private address among public ones is no oversight but an attack.
            if not self._policy.permits(address):
                raise refused_address(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _system_lookup(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    # What is no plain address is a name to be looked up, and checked then.
    return ":" in host or host.replace(".", "").isdigit()


def _joined(url: URL, location: str) -> str:
    try:
        return str(url.join(URL(location)))
    except (ValueError, TypeError):
        raise Problem("url-answer", "The address redirects to what is not a URL.") from None


def refused_address(what: str) -> Problem:
    """Return the refusal of an address that is not public; the log alone says which."""
    logger.warning("a URL leads to %s: refused", what)
    return Problem("url-refused", "The URL leads to a refused address.")

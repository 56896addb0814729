"""Pictures on the web, fetched here: for servers that fetch none themselves.

Only http and https, a bounded number of redirects, bytes and seconds, and nothing of what belongs
to the server: no key, no cookie, no header of its requests. What goes wrong is the picture's fault,
an `ImageInputError` that names its address; `ImageFetchError` where it may go better later.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import httpx

from captionbox.errors import (
    APIStatusError,
    ImageFetchError,
    ImageInputError,
    MethodNotAllowedError,
    NotFoundError,
)
from captionbox.images import Link, Upload, upload
from captionbox.transport.network import Route, certificates, reason_of, route_to
from captionbox.version import __version__

MOST_BYTES = 32 * 1024 * 1024
MOST_REDIRECTS = 5
MOST_SECONDS = 60.0

_TIMES = httpx.Timeout(10.0, connect=5.0)
_HEADERS = {
    "User-Agent": f"captionbox-python/{__version__}",
    "Accept": "image/*,*/*;q=0.5",
    # What arrives is then what counts against the limit of bytes.
    "Accept-Encoding": "identity",
}


def fetches_no_urls(error: APIStatusError) -> bool:
    """Whether a server has said that it fetches no pictures from addresses, whichever they are."""
    if isinstance(error, (NotFoundError, MethodNotAllowedError)):
        return error.problem.kind not in ("unknown-model", "no-matcher")
    return error.problem.kind == "urls-not-allowed"


class Fetch:
    """One picture on its way: what to ask for next, and what has come. No network here.

    Args:
        link: the picture.
        clock: monotonic seconds.
    """

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._link, self._clock = link, clock
        self._until = clock() + MOST_SECONDS
        self._redirects = 0
        self._content = bytearray()

    def first(self) -> httpx.Request:
        """Return the first request.

        Raises:
            ImageInputError: the address is none.
        """
        try:
            return self._checked(httpx.Request("GET", self._link.url, headers=_HEADERS))
        except (httpx.InvalidURL, UnicodeError) as error:
            raise self.failed(f"that is no address: {error}") from None

    def next(self, response: httpx.Response) -> httpx.Request | None:
        """Return where an answer's head leads, or None where its body is the picture.

        Raises:
            ImageInputError: it leads nowhere, or the answer is no picture.
        """
        if response.next_request is not None:
            self._redirects += 1
            if self._redirects > MOST_REDIRECTS:
                raise self.failed(f"it redirects more than {MOST_REDIRECTS} times")
            return self._checked(response.next_request)
        if response.status_code != 200:
            phrase = f"{response.status_code} {response.reason_phrase}".strip()
            later = response.status_code == 429 or response.status_code >= 500
            raise self.failed(f"the answer there is {phrase}", later=later)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/html":
            raise self.failed("there is a web page, no picture")
        size = response.headers.get("content-length", "")
        if size.isascii() and size.isdecimal():
            self._check_size(int(size))
        return None

    def take(self, piece: bytes) -> None:
        """Keep a piece of the picture.

        Raises:
            ImageInputError: it is too large, or takes too long.
        """
        self._check_size(len(self._content) + len(piece))
        if self._clock() > self._until:
            raise self.failed(f"it takes longer than {MOST_SECONDS:g} s", later=True)
        self._content += piece

    def done(self) -> Upload:
        """Return the picture.

        Raises:
            ImageInputError: there is nothing in it.
        """
        if not self._content:
            raise self.failed("it is empty")
        name = PurePosixPath(unquote(httpx.URL(self._link.url).path)).name
        return upload(name or "image", bytes(self._content))

    def failed(self, reason: str, *, later: bool = False) -> ImageInputError:
        """Return the error for `reason`; `later` says that it may be none later."""
        kind = ImageFetchError if later else ImageInputError
        return kind(f"cannot fetch {self._link.url}: {reason}")

    def way(self, request: httpx.Request) -> Route:
        """Return the way to where a request goes.

        Raises:
            ImageInputError: the environment names a proxy that cannot be used.
        """
        try:
            return route_to(request.url)
        except ValueError as error:
            raise self.failed(str(error)) from None

    def _checked(self, request: httpx.Request) -> httpx.Request:
        request.headers.pop("cookie", None)
        if request.url.scheme not in ("http", "https") or not request.url.host:
            raise self.failed(f"it leads to {str(request.url)[:100]}, which is not http or https")
        if self._clock() > self._until:
            raise self.failed(f"it takes longer than {MOST_SECONDS:g} s", later=True)
        return request

    def _check_size(self, size: int) -> None:
        if size > MOST_BYTES:
            raise self.failed(f"it is larger than {MOST_BYTES >> 20} MiB")


class Downloads:
    """Fetches pictures, one connection pool a proxy. Safe to share between threads.

    Raises:
        ValueError: the environment names certificates that cannot be read.
    """

    def __init__(self) -> None:
        self._clients: dict[str, httpx.Client] = {}
        self._trusted = certificates()

    def fetch(self, link: Link) -> Upload:
        """Return the picture at an address.

        Raises:
            ImageInputError: there is none, it cannot be reached, or it is beyond a limit.
        """
        fetch = Fetch(link)
        request: httpx.Request | None = fetch.first()
        while request is not None:
            with self._answer(fetch, request) as response:
                request = fetch.next(response)
                if request is None:
                    for piece in response.iter_bytes():
                        fetch.take(piece)
        return fetch.done()

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    @contextmanager
    def _answer(self, fetch: Fetch, request: httpx.Request) -> Iterator[httpx.Response]:
        route = fetch.way(request)
        client = self._clients.get(route.shown()) or self._clients.setdefault(
            route.shown(), httpx.Client(**_settings(route, self._trusted))
        )
        try:
            response = client.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()
        except httpx.RequestError as error:
            raise fetch.failed(_reason(error, route), later=True) from error
        except httpx.InvalidURL as error:
            raise fetch.failed(f"it leads to what is no address: {error}") from error


class AsyncDownloads:
    """`Downloads`, to be awaited."""

    def __init__(self) -> None:
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._trusted = certificates()

    async def fetch(self, link: Link) -> Upload:
        """Return the picture at an address; see `Downloads.fetch`."""
        fetch = Fetch(link)
        request: httpx.Request | None = fetch.first()
        while request is not None:
            async with self._answer(fetch, request) as response:
                request = fetch.next(response)
                if request is None:
                    async for piece in response.aiter_bytes():
                        fetch.take(piece)
        return fetch.done()

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    @asynccontextmanager
    async def _answer(self, fetch: Fetch, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        route = fetch.way(request)
        client = self._clients.get(route.shown()) or self._clients.setdefault(
            route.shown(), httpx.AsyncClient(**_settings(route, self._trusted))
        )
        try:
            response = await client.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.RequestError as error:
            raise fetch.failed(_reason(error, route), later=True) from error
        except httpx.InvalidURL as error:
            raise fetch.failed(f"it leads to what is no address: {error}") from error


def _settings(route: Route, trusted: ssl.SSLContext) -> dict[str, Any]:
    """Return the arguments of an httpx client for pictures."""
    return {
        "proxy": route.proxy,
        "verify": trusted,
        "trust_env": False,
        "timeout": _TIMES,
        "follow_redirects": False,
    }


def _reason(error: httpx.RequestError, route: Route) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "nothing came in time"
    return reason_of(error, route)

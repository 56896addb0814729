"""Where the server is and how to speak to it: arguments, then the environment, then defaults."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

import httpx

from captionbox.version import __version__

BASE_URL_VARIABLE = "CAPTIONBOX_BASE_URL"
API_KEY_VARIABLE = "CAPTIONBOX_API_KEY"
TIMEOUT_VARIABLE = "CAPTIONBOX_TIMEOUT"
MAX_RETRIES_VARIABLE = "CAPTIONBOX_MAX_RETRIES"
DEFAULT_BASE_URL = "http://localhost:3000"
DEFAULT_TIMEOUT = 60.0
DEFAULT_MAX_RETRIES = 4

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a client, checked. No secret shows in `repr`."""

    base_url: str = field(repr=False)
    api_key: str | None = field(repr=False)
    timeout: float | None
    max_retries: int
    wait_for_server: bool = True

    def shown_url(self) -> str:
        """Return the base URL for people to read: without a name and password that it may hold."""
        return str(httpx.URL(self.base_url).copy_with(userinfo=b"")).rstrip("/")

    def headers(self) -> dict[str, str]:
        """Return the headers that every request carries."""
        headers = {"User-Agent": f"captionbox-python/{__version__}", "Accept": "application/json"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers

    def limits(self) -> httpx.Timeout:
        """Return the time limits of one try."""
        if self.timeout is None:
            return httpx.Timeout(None, connect=_CONNECT_SECONDS)
        # The pool has no upper limit of connections, so nobody waits for it.
        return httpx.Timeout(self.timeout, connect=min(self.timeout, _CONNECT_SECONDS))


def resolve(
    base_url: str | None,
    api_key: str | None,
    timeout: float | None,
    max_retries: int,
    wait_for_server: bool = True,
) -> Settings:
    """Fill in what was not given from the environment, and check everything.

    Raises:
        ValueError: a value makes no sense; says which and why.
    """
    base_url = base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    api_key = api_key or os.environ.get(API_KEY_VARIABLE) or None
    if timeout is not None and not (timeout > 0 and math.isfinite(timeout)):
        raise ValueError(f"timeout is in seconds, above 0, or None for no limit; got {timeout!r}")
    if max_retries < 0:
        raise ValueError(f"max_retries is 0 or more, got {max_retries!r}")
    address, key = _check_url(base_url), _check_key(api_key)
    return Settings(address, key, timeout, max_retries, wait_for_server)


def from_environment() -> dict[str, Any]:
    """Return the arguments of a client that the environment names, all of them.

    Raises:
        ValueError: a variable makes no sense; says which.
    """
    found: dict[str, Any] = {}
    for argument, variable, read in (
        ("base_url", BASE_URL_VARIABLE, str),
        ("api_key", API_KEY_VARIABLE, str),
        ("timeout", TIMEOUT_VARIABLE, float),
        ("max_retries", MAX_RETRIES_VARIABLE, int),
    ):
        text = os.environ.get(variable)
        if not text:
            continue
        try:
            found[argument] = read(text)
        except ValueError:
            raise ValueError(f"{variable} is a number, not {text!r}") from None
    return found


def _check_url(text: str) -> str:
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise ValueError(f"base_url {text!r} is not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(
            f"base_url is like {DEFAULT_BASE_URL}, with http:// or https://; got {text!r}"
        )
    if url.query or url.fragment:
        raise ValueError(f"base_url has no ? and no # part, got {text!r}")
    return str(url).rstrip("/")


def _check_key(key: str | None) -> str | None:
    if key is None:
        return None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("api_key may have only printable ASCII characters, no spaces")
    return key

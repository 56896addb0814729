"""How this machine reaches others: proxies and certificates, as its environment has them.

httpx would read the same variables, but fails with a traceback where it cannot use one, and knows
not every form of `NO_PROXY`. Here each becomes a value, or a sentence that names the variable.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import getproxies

import httpx

_BRACKETS = re.compile(r"^\[([^\]]*)\](/\d+)?$")


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a host.

    Attributes:
        proxy: the proxy that leads there; None where nothing is in between.
        variable: the environment variable that names it.
    """

    proxy: httpx.Proxy | None = None
    variable: str = ""

    def shown(self) -> str:
        """Return the proxy for people to read, without a password; empty where there is none."""
        if self.proxy is None:
            return ""
        return f"the proxy {_shown(str(self.proxy.url))} of {self.variable}"


def route_to(url: httpx.URL) -> Route:
    """Return the way to a host that the environment prescribes.

    Raises:
        ValueError: it names a proxy that cannot be used; says which variable does.
    """
    named = getproxies()
    scheme = url.scheme if named.get(url.scheme) else "all"
    text = named.get(scheme)
    if not text or is_excepted(url, named.get("no", "")):
        return Route()
    variable = _variable(scheme, text)
    try:
        return Route(_proxy(text), variable)
    except (ValueError, httpx.InvalidURL) as error:
        raise ValueError(
            f"{variable} names a proxy that cannot be used, {_shown(text)}: {error}. Unset it, or "
            f"put {url.host} in NO_PROXY"
        ) from None


def is_excepted(url: httpx.URL, no_proxy: str) -> bool:
    """Whether `NO_PROXY` says that `url` is reached without a proxy.

    Args:
        url: of the host.
        no_proxy: hosts, domains (with all below them), addresses and networks of both versions of
            IP, in brackets or not, each with a port or not; `*` for all. Separated by commas or
            white space.
    """
    host = url.host.lower().rstrip(".")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return any(_covers(entry.lower(), host, port) for entry in re.split(r"[,\s]+", no_proxy))


def certificates() -> ssl.SSLContext:
    """Return what is trusted: `SSL_CERT_FILE`, `SSL_CERT_DIR`, or else what certifi brings.

    Raises:
        ValueError: the variable names what cannot be read.
    """
    folder = os.environ.get("SSL_CERT_DIR")
    file = os.environ.get("SSL_CERT_FILE")
    if folder and not file and not Path(folder).is_dir():
        raise ValueError(f"SSL_CERT_DIR names {folder}, which is no folder")
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or "it holds no certificates in PEM form"
        raise ValueError(f"SSL_CERT_FILE names {file}, which cannot be used: {reason}") from None


def reason_of(error: httpx.RequestError, route: Route) -> str:
    """Return why nothing came of a request, in words, for after a colon.

    Args:
        error: as httpx raised it.
        route: the way that it went.
    """
    through = f"{route.shown()}: " if route.proxy else ""
    if isinstance(error, httpx.ProxyError):
        return f"{through}{error}"
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = getattr(cause, "verify_message", "") or str(cause)
            return (
                f"its certificate is not trusted ({why}); "
                "SSL_CERT_FILE may name a file with the certificate of who issued it"
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            why = cause.reason or cause
            return f"no encrypted connection could be made ({why}): does it speak https?"
        if isinstance(cause, ConnectionRefusedError):
            return f"{through}connection refused"
        if isinstance(cause, socket.gaierror):
            return f"{through}there is no host of that name ({cause.strerror})"
    return f"{through}{error or type(error).__name__}"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and everything that led to it."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        # With several addresses of a host there are several errors, in one group.
        waiting += getattr(one, "exceptions", ())
        waiting += [one.__context__, one.__cause__]


def _proxy(text: str) -> httpx.Proxy:
    url = text if "://" in text else f"http://{text}"
    # Desktops write socks:// and mean the current version.
    url = re.sub(r"^socks://", "socks5://", url, flags=re.IGNORECASE)
    kinds = ("http", "https", "socks5", "socks5h")
    if httpx.URL(url).scheme not in kinds:
        raise ValueError("proxies have http://, https:// or socks5://")
    if not httpx.URL(url).host:
        raise ValueError("it has no host")
    if url.lower().startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise ValueError("SOCKS needs a package that is not installed, pip install 'httpx[socks]'")
    return httpx.Proxy(url)


def _variable(scheme: str, text: str) -> str:
    """Return the name of the variable that says `text`; the usual one where the system says so."""
    name = f"{scheme}_proxy"
    spellings = (one for one in os.environ if one.lower() == name and os.environ[one] == text)
    return next(spellings, name.upper())


def _shown(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//", text) if "//" in text else text.rpartition("@")[2]


def _covers(entry: str, host: str, port: int | None) -> bool:
    entry = entry.partition("://")[2] or entry
    if entry == "*":
        return True
    network = _network(entry)
    if network is None:
        entry, wanted = _without_port(entry)
        if wanted is not None and wanted != port:
            return False
        network = _network(entry)
    if network is not None:
        try:
            return ipaddress.ip_address(host.partition("%")[0]) in network
        except ValueError:
            return False
    name = entry.lstrip("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(_BRACKETS.sub(r"\1\2", entry), strict=False)
    except ValueError:
        return None


def _without_port(entry: str) -> tuple[str, int | None]:
    head, colon, tail = entry.rpartition(":")
    if colon and tail.isascii() and tail.isdecimal():
        return head, int(tail)
    return entry, None

"""When a call is tried again, and after how long. Pure: no clock, no sleep, no network.

Tried again is only what is safe to repeat and may succeed: every route of the server computes and
stores nothing, so a request that got no answer because the connection failed may be sent again,
and so may one that was refused with 429 or 503, or of which too little came in time (408). Never
tried again: a request that the server took and did not answer in time (it may still be at work on
it), and every other status.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from captionbox.transport.network import causes

RETRIED_STATUSES = frozenset({408, 429, 503})

_NEVER_CURED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next try.

    Attributes:
        first: seconds before the second try, doubled for every further one.
        longest: most seconds of such a wait.
        patience: where the server asks for a longer wait than this many seconds, give up instead.
    """

    first: float = 0.5
    longest: float = 8.0
    patience: float = 60.0

    def wait(
        self, tries: int, retry_after: float | None, random: Callable[[], float]
    ) -> float | None:
        """Return the seconds to wait after `tries` tries, or None to give up.

        Args:
            tries: tries so far, at least 1.
            retry_after: seconds the server asked for. Never undercut.
            random: draws from [0, 1): clients that failed together must not come back together.
        """
        # Bounded exponent: 2.0**1024 overflows, and no one waits that long anyway.
        usual = min(self.longest, self.first * 2.0 ** min(tries - 1, 32)) * (0.5 + random() / 2)
        if retry_after is None:
            return usual
        if retry_after > self.patience:
            return None
        return retry_after + usual / 4


def may_retry(error: httpx.RequestError) -> bool:
    """Whether a request that failed this way may be sent again."""
    if isinstance(error, httpx.TimeoutException):
        # Without a connection nothing was sent.
        return isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
    if not isinstance(error, httpx.TransportError) or isinstance(error, _NEVER_CURED):
        return False
    if not isinstance(error, httpx.ConnectError):
        return True
    return not any(_is_misunderstanding(cause) for cause in causes(error))


def never_connected(error: httpx.RequestError) -> bool:
    """Whether there was not even a connection."""
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))


def _is_misunderstanding(error: BaseException) -> bool:
    """Whether an encrypted connection is impossible, not only broken off."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header, seconds or an HTTP date; None if there is none or it is broken.

    Args:
        value: the header.
        now: with a time zone.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value) if len(value) < 10 else float("inf")
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())

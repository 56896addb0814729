"""The course of one call: what to do after each try. Shared by the sync and the async client.

They differ only in how they send and how they sleep:

```python
tries = Tries(settings, versions)
while True:
    try:
        response = http.send(request)
    except httpx.RequestError as error:
        pause = tries.failed(error)
    else:
        pause = tries.answered(response)
    if pause is None:
        return call.read(response)
    sleep(pause)
```
"""

from __future__ import annotations

import logging
import random
import warnings
from datetime import UTC, datetime

import httpx

from captionbox.calls import VERSION_HEADER
from captionbox.errors import (
    APIConnectionError,
    APITimeoutError,
    CaptionboxError,
    CaptionboxVersionWarning,
    status_error,
)
from captionbox.problems import read_problem
from captionbox.retries import RETRIED_STATUSES, Backoff, may_retry, retry_after_seconds
from captionbox.settings import Settings
from captionbox.version import mismatch

logger = logging.getLogger("captionbox")


class VersionWatch:
    """Looks at the version that comes with every answer; warns once where it does not fit."""

    def __init__(self) -> None:
        self._warned = False

    def see(self, version: str | None) -> None:
        """Take note of an answer's version header."""
        complaint = mismatch(version)
        if complaint and not self._warned:
            self._warned = True
            warnings.warn(complaint, CaptionboxVersionWarning, stacklevel=5)


class Tries:
    """Counts the tries of one call, and decides after each.

    Args:
        settings: say how many tries there may be, and name the server in errors.
        versions: is shown every answer.
        backoff: how long to wait in between.
    """

    def __init__(
        self, settings: Settings, versions: VersionWatch, backoff: Backoff | None = None
    ) -> None:
        self._settings, self._versions = settings, versions
        self._backoff = backoff or Backoff()
        self._made = 0

    def failed(self, error: httpx.RequestError) -> float:
        """Return the seconds to wait before the next try, after one that got no answer.

        Raises:
            APIConnectionError: there is to be no further try.
        """
        pause = self._pause(None) if may_retry(error) else None
        if pause is None:
            raise self._explain(error) from error
        logger.debug("%s; next try in %.1f s", type(error).__name__, pause)
        return pause

    def answered(self, response: httpx.Response) -> float | None:
        """Return the seconds to wait before the next try, or None where the answer is a good one.

        Raises:
            APIStatusError: the answer is an error, and there is to be no further try.
        """
        self._versions.see(response.headers.get(VERSION_HEADER))
        if response.is_success:
            return None
        asked = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC))
        retried = response.status_code in RETRIED_STATUSES
        pause = self._pause(asked) if retried else None
        if pause is None:
            raise status_error(read_problem(response), asked)
        logger.debug("status %d; next try in %.1f s", response.status_code, pause)
        return pause

    def _pause(self, asked: float | None) -> float | None:
        self._made += 1
        if self._made > self._settings.max_retries:
            return None
        return self._backoff.wait(self._made, asked, random.random)

    def _explain(self, error: httpx.RequestError) -> CaptionboxError:
        reason = str(error) or type(error).__name__
        where, tries = self._settings.shown_url(), max(1, self._made)
        times = "" if tries == 1 else f" in {tries} tries"
        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
            limit = self._settings.timeout
            return APITimeoutError(f"{where} did not answer within {limit:g} s; see `timeout`")
        if isinstance(error, httpx.TimeoutException):
            return APIConnectionError(f"cannot reach {where}{times}: connecting took too long")
        return APIConnectionError(f"cannot reach {where}{times}: {reason}")

"""The course of one call: what to do after each try. Shared by the sync and the async client.

They differ only in how they send and how they sleep:

```python
tries = Tries(settings, route, versions)
while True:
    try:
        response = http.send(request)
    except httpx.RequestError as error:
        pause = tries.failed(error, request)
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

from captionbox.calls import REQUEST_ID_HEADER, VERSION_HEADER
from captionbox.errors import (
    APIConnectionError,
    APITimeoutError,
    CaptionboxError,
    CaptionboxVersionWarning,
    UnexpectedAnswerError,
    status_error,
)
from captionbox.problems import Problem, read_problem
from captionbox.settings import Settings
from captionbox.transport.network import Route, causes, reason_of
from captionbox.transport.retries import (
    RETRIED_STATUSES,
    Backoff,
    may_retry,
    never_connected,
    retry_after_seconds,
)
from captionbox.version import mismatch

logger = logging.getLogger("captionbox")

_OURS = frozenset({"unknown-model", "no-matcher"})
"""Kinds of 404 that only the right address answers with."""


class VersionWatch:
    """Looks at the version that comes with every answer; warns once where it does not fit.

    Attributes:
        heard: whether there has been any answer.
    """

    def __init__(self) -> None:
        self.heard = False
        self._warned = False

    def see(self, version: str | None) -> None:
        """Take note of an answer's version header."""
        self.heard = True
        complaint = mismatch(version)
        if complaint and not self._warned:
            self._warned = True
            warnings.warn(complaint, CaptionboxVersionWarning, stacklevel=5)


class Tries:
    """Counts the tries of one call, and decides after each.

    Args:
        settings: say how many tries there may be, and name the server in errors.
        route: the way to the server, for errors.
        versions: is shown every answer.
        backoff: how long to wait in between.
    """

    def __init__(
        self,
        settings: Settings,
        route: Route,
        versions: VersionWatch,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings, self._route, self._versions = settings, route, versions
        self._backoff = backoff or Backoff()
        self._made = 0

    def failed(self, error: httpx.RequestError, request: httpx.Request) -> float:
        """Return the seconds to wait before the next try, after one that got no answer.

        Raises:
            APIConnectionError: there is to be no further try.
        """
        pause = self._pause(None) if self._may_retry(error) else None
        if pause is None:
            name = request.headers.get(REQUEST_ID_HEADER)
            raise self._explain(error).of_request(name) from error
        logger.debug("%s; next try in %.1f s", type(error).__name__, pause)
        return pause

    def misled(self, error: httpx.InvalidURL) -> CaptionboxError:
        """Return the error for an answer that leads to what is no address."""
        where = self._settings.shown_url()
        return UnexpectedAnswerError(f"{where} redirects to what is no address: {error}")

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
            refusal = status_error(self._located(read_problem(response)), asked)
            raise refusal.of_request(response.request.headers.get(REQUEST_ID_HEADER))
        logger.debug("status %d; next try in %.1f s", response.status_code, pause)
        return pause

    def _may_retry(self, error: httpx.RequestError) -> bool:
        if never_connected(error) and not (self._settings.wait_for_server or self._versions.heard):
            return False
        return may_retry(error)

    def _pause(self, asked: float | None) -> float | None:
        self._made += 1
        if self._made > self._settings.max_retries:
            return None
        return self._backoff.wait(self._made, asked, random.random)

    def _located(self, problem: Problem) -> Problem:
        """Return the problem, with advice where the base URL looks like the address of a route."""
        where = self._settings.shown_url()
        server, slash, route = where.rpartition("/v1")
        if problem.status not in (404, 405) or problem.kind in _OURS or not slash or route:
            return problem
        advice = f"the base URL ends in /v1, which is for OpenAI's clients: this one wants {server}"
        return problem.model_copy(update={"detail": advice})

    def _explain(self, error: httpx.RequestError) -> CaptionboxError:
        reason = reason_of(error, self._route)
        where, tries = self._settings.shown_url(), max(1, self._made)
        times = "" if tries == 1 else f" in {tries} tries"
        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
            limit = self._settings.timeout
            return APITimeoutError(f"{where} did not answer within {limit:g} s; see `timeout`")
        if isinstance(error, httpx.TimeoutException):
            return APIConnectionError(f"cannot reach {where}{times}: connecting took too long")
        if self._is_nobody_there(error):
            reason += (
                "; `make serve` in Captionbox's folder starts a server, and CAPTIONBOX_BASE_URL "
                "names one elsewhere"
            )
        return APIConnectionError(f"cannot reach {where}{times}: {reason}")

    def _is_nobody_there(self, error: httpx.RequestError) -> bool:
        """Whether no server runs on this machine, where it was looked for."""
        here = httpx.URL(self._settings.base_url).host in ("localhost", "127.0.0.1", "::1")
        refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes(error))
        return here and refused and self._route.proxy is None and not self._versions.heard

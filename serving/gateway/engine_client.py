"""The gateway's way to the engine: one call, every failure a clean `Problem`.

The engine is another process. BentoML restarts it when it dies; until then its socket still takes
connections and answers nothing. An engine that hangs takes calls and answers none. So while calls
are out, and once one has failed, the engine is probed; as long as it does not answer, requests are
refused at once with 503.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
from bentoml.exceptions import BentoMLException

from serving.base import metrics
from serving.base.problems import Problem
from serving.contract.messages import EngineAnswer, EngineRequest, MatchAnswer, MatchRequest

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 1.0
_PROBE_PAUSE_SECONDS = 0.25
_CHECK_PAUSE_SECONDS = 1.0
_CHECK_SECONDS = 2.0
_FAILED_CHECKS = 3
"""A busy machine may well be late with one answer; an engine that hangs is late with them all."""


class EngineProxy(Protocol):
    """What `bentoml.depends` gives, as far as it is used here."""

    to_async: Any

    async def is_ready(self, timeout: int | None = None) -> bool:
        """Ask the engine's readiness probe."""


class EngineClient:
    """Calls the engine. Belongs to the event loop of the gateway.

    Args:
        proxy: `bentoml.depends(Engine)`.

    Attributes:
        on_loss: called when the engine is found not to answer.
    """

    def __init__(self, proxy: EngineProxy) -> None:
        self.on_loss: Callable[[], None] = lambda: None
        self._proxy = proxy
        self._up = False
        self._calls = 0
        self._recovery: asyncio.Task[None] | None = None
        self._checks: asyncio.Task[None] | None = None

    async def caption(self, request: EngineRequest) -> EngineAnswer:
        """Have one picture captioned.

        Raises:
            Problem: 503 the engine is gone, starting or overloaded; 504 it took too long.
        """
        answers: list[EngineAnswer] = await self._ask("caption", [request])
        return answers[0]

    async def match(self, requests: list[MatchRequest]) -> list[MatchAnswer]:
        """Have texts scored; the answers are in the same order.

        Raises:
            Problem: as for `caption`.
        """
        answers: list[MatchAnswer] = await self._ask("match", requests)
        return answers

    async def _ask(self, api: str, requests: list[Any]) -> list[Any]:
        if not self._up and (self._recovering or not await self.ready()):
            self._watch()
            raise Problem("engine-unavailable")
        try:
            return await self._call(api, requests)
        except (aiohttp.ClientError, ConnectionError, EOFError) as error:
            logger.warning("lost the engine: %r", error)
        # Either the engine died, or it had just closed a connection that we were about to reuse.
        # A live engine says so at once, and then the request deserves a second try; not a third,
        # for a request that kills engines must not kill them all.
        self._set_up(False)
        if await self.ready():
            try:
                return await self._call(api, requests)
            except (aiohttp.ClientError, ConnectionError, EOFError) as error:
                self._set_up(False)
                logger.warning("lost the engine again: %r", error)
        self._lose()
        raise Problem("engine-unavailable")

    async def _call(self, api: str, requests: list[Any]) -> list[Any]:
        self._calls += 1
        if self._checks is None or self._checks.done():
            self._checks = asyncio.create_task(self._check())
        try:
            answers: list[Any] = await getattr(self._proxy.to_async, api)(requests)
        except TimeoutError:
            raise Problem("timeout") from None
        except BentoMLException as error:
            if error.error_code == HTTPStatus.GATEWAY_TIMEOUT:
                raise Problem("timeout") from None
            if error.error_code == HTTPStatus.SERVICE_UNAVAILABLE:
                raise Problem("overloaded") from None
            logger.error("the engine failed: %s", error)
            raise Problem("engine-unavailable", "The captioning engine failed.") from None
        finally:
            self._calls -= 1
        return answers

    async def ready(self) -> bool:
        """Whether the engine answers its probe now; quick either way."""
        self._set_up(await self._probe())
        return self._up

    async def _probe(self, seconds: float = _PROBE_SECONDS) -> bool:
        if not hasattr(self._proxy, "is_ready"):
            return True  # the engine itself, in this very process: a test
        try:
            # The proxy's own time limit lets other errors of a dying connection through.
            async with asyncio.timeout(seconds):
                return await self._proxy.is_ready(timeout=60)
        except (aiohttp.ClientError, OSError, EOFError, BentoMLException):
            return False

    def _set_up(self, up: bool) -> None:
        self._up = up
        metrics.engine_up().set(up)

    @property
    def _recovering(self) -> bool:
        return self._recovery is not None and not self._recovery.done()

    def _lose(self) -> None:
        self._set_up(False)
        self._watch()
        self.on_loss()

    def _watch(self) -> None:
        """Probe in the background until the engine is back."""
        if not self._recovering:
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        while not await self.ready():
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)
        logger.info("the engine is back")

    async def _check(self) -> None:
        """Probe while calls are out: a batch may take long, but the probe is answered meanwhile."""
        failed = 0
        while self._calls:
            await asyncio.sleep(_CHECK_PAUSE_SECONDS)
            if not self._calls or self._recovering:
                return
            failed = 0 if await self._probe(_CHECK_SECONDS) else failed + 1
            if failed == _FAILED_CHECKS:
                logger.error("the engine does not answer: it hangs, or is being restarted")
                self._lose()
                return

    async def close(self) -> None:
        """Stop probing."""
        for task in (self._recovery, self._checks):
            if task is not None:
                task.cancel()

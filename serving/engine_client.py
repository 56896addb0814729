"""The gateway's way to the engine: one call, every failure a clean `Problem`.

The engine is another process. BentoML restarts it when it dies; until then its socket still takes
connections and answers nothing. So once a call has failed, requests are refused at once with 503
until a probe says that the engine is back.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
from bentoml.exceptions import BentoMLException

from serving.engine_messages import EngineAnswer, EngineRequest
from serving.problems import Problem

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 1.0
_PROBE_PAUSE_SECONDS = 0.25


class EngineProxy(Protocol):
    """What `bentoml.depends` gives, as far as it is used here."""

    to_async: Any

    async def is_ready(self, timeout: int | None = None) -> bool:
        """Ask the engine's readiness probe."""


class EngineClient:
    """Calls the engine. Belongs to the event loop of the gateway.

    Args:
        proxy: `bentoml.depends(Engine)`.
    """

    def __init__(self, proxy: EngineProxy) -> None:
        self._proxy = proxy
        self._up = False
        self._recovery: asyncio.Task[None] | None = None

    async def caption(self, request: EngineRequest) -> EngineAnswer:
        """Have one picture captioned.

        Raises:
            Problem: 503 the engine is gone, starting or overloaded; 504 it took too long.
        """
        if not self._up and (self._recovering or not await self.ready()):
            self._watch()
            raise Problem("engine-unavailable")
        try:
            return await self._call(request)
        except (aiohttp.ClientError, ConnectionError, EOFError) as error:
            logger.warning("lost the engine: %r", error)
        # Either the engine died, or it had just closed a connection that we were about to reuse.
        # A live engine says so at once, and then the request deserves a second try; not a third,
        # for a request that kills engines must not kill them all.
        self._up = False
        if await self.ready():
            try:
                return await self._call(request)
            except (aiohttp.ClientError, ConnectionError, EOFError) as error:
                self._up = False
                logger.warning("lost the engine again: %r", error)
        self._watch()
        raise Problem("engine-unavailable")

    async def _call(self, request: EngineRequest) -> EngineAnswer:
        try:
            answers: list[EngineAnswer] = await self._proxy.to_async.caption([request])
        except TimeoutError:
            raise Problem("timeout") from None
        except BentoMLException as error:
            if error.error_code == HTTPStatus.GATEWAY_TIMEOUT:
                raise Problem("timeout") from None
            if error.error_code == HTTPStatus.SERVICE_UNAVAILABLE:
                raise Problem("overloaded") from None
            logger.error("the engine failed: %s", error)
            raise Problem("engine-unavailable", "The captioning engine failed.") from None
        return answers[0]

    async def ready(self) -> bool:
        """Whether the engine answers its probe now; quick either way."""
        if not hasattr(self._proxy, "is_ready"):
            self._up = True  # the engine itself, in this very process: a test
            return True
        try:
            # The proxy's own time limit lets other errors of a dying connection through.
            async with asyncio.timeout(_PROBE_SECONDS):
                self._up = await self._proxy.is_ready(timeout=60)
        except (aiohttp.ClientError, OSError, EOFError, BentoMLException):
            self._up = False
        return self._up

    @property
    def _recovering(self) -> bool:
        return self._recovery is not None and not self._recovery.done()

    def _watch(self) -> None:
        """Probe in the background until the engine is back."""
        if not self._recovering:
            self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        while not await self.ready():
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)
        logger.info("the engine is back")

    async def close(self) -> None:
        """Stop probing."""
        if self._recovery is not None:
            self._recovery.cancel()

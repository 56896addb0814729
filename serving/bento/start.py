"""What the service's processes do when they start, and the engine's computing thread."""

from __future__ import annotations

import os
from asyncio import wrap_future
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI

from models.api.metadata import BrokenModelError
from models.store import ModelNotFoundError
from serving.base import metrics
from serving.base.logs import configure as configure_logs
from serving.base.settings import Settings
from serving.base.version import __version__
from serving.bento.dispatch import dispatch_at_once
from serving.bento.framework import (
    settings_or_exit,
    share_out_calls,
    tame,
    warn_if_open_to_others,
)
from serving.bento.supervisor import (
    HANG_FACTOR,
    give_up,
    leave_interrupts_to_the_parent,
    or_end_process,
    require_disk_space,
    supervise,
)
from serving.bento.workers import decide_workers
from serving.contract.messages import EngineAnswer, EngineRequest, MatchAnswer, MatchRequest
from serving.contract.served_models import ServedModels
from serving.engine.captioning import BatchCaptioner
from serving.engine.matching import BatchMatcher
from serving.gateway.engine_client import EngineClient
from serving.gateway.gateway import Gateway

Q = TypeVar("Q")
A = TypeVar("A")


def start_process() -> Settings:
    """Prepare this process, whichever of the service's it is; return the settings."""
    tame()
    dispatch_at_once()
    settings = decide_workers(settings_or_exit())
    supervise(settings.stop_s)
    configure_logs(settings.log_format)
    require_disk_space()
    # Read by uvicorn, which puts the client that a proxy tells of in the place of the proxy.
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(settings.proxies)
    return settings


class EngineWorker:
    """The models of an engine process and the thread that computes. Made once it can caption.

    Args:
        settings: which models, and how they compute.
    """

    def __init__(self, settings: Settings) -> None:
        leave_interrupts_to_the_parent()
        self._in_time = partial(or_end_process, HANG_FACTOR * settings.timeout_s)
        # libgomp makes each thread that computes a team of threads of its own, and once there are
        # more of them than cores it lets them sleep between products: a third of the speed.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="computing")
        try:
            self._computing.submit(self._load, settings).result()
        except (BrokenModelError, ModelNotFoundError) as error:
            give_up(error)

    def _load(self, settings: Settings) -> None:
        self._captioner = BatchCaptioner(
            settings.models, settings.engine_threads, settings.precision, settings.backend
        )
        matcher = ServedModels(settings.models, settings.matcher).matcher
        self._matcher = BatchMatcher(matcher, settings.engine_threads) if matcher else None

    async def caption(self, requests: list[EngineRequest]) -> list[EngineAnswer]:
        """Caption a batch of any mixture of models and options, in order."""
        return await self._compute(self._captioner.caption, requests)

    async def match(self, requests: list[MatchRequest]) -> list[MatchAnswer]:
        """Score a batch of pairs of a picture and a text, in order."""
        if self._matcher is None:
            raise RuntimeError("no matcher is served")
        return await self._compute(self._matcher.match, requests)

    async def _compute(self, infer: Callable[[list[Q]], list[A]], requests: list[Q]) -> list[A]:
        return await wrap_future(self._computing.submit(self._watched, infer, requests))

    def _watched(self, infer: Callable[[list[Q]], list[A]], requests: list[Q]) -> list[A]:
        with self._in_time():
            return infer(requests)


def open_gateway(settings: Settings, engine: Any, app: FastAPI) -> Gateway:
    """Return the gateway of this process, known to the application that answers HTTP.

    Args:
        settings: limits and the served models.
        engine: what `bentoml.depends` gives.
        app: the application.
    """
    leave_interrupts_to_the_parent()
    if settings.engine_workers != 1:
        share_out_calls(engine)
    gateway = Gateway(settings, EngineClient(engine))
    app.state.gateway = gateway
    app.state.admission = gateway.admission
    app.openapi()  # made now, not under the first one who asks for it
    metrics.build_info().labels(__version__).set(1)
    warn_if_open_to_others(settings)
    return gateway

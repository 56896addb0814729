"""The two BentoML services: `Captioner`, the gateway, and `Engine`, batched inference."""

from __future__ import annotations

import asyncio
from asyncio import wrap_future
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import bentoml
from bentoml.validators import ContentType

from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions
from models.store import ModelNotFoundError
from serving.app import create_app
from serving.base.logs import configure as configure_logs
from serving.bento.container import IMAGE
from serving.bento.dispatch import dispatch_at_once
from serving.bento.framework import (
    RUNNER_CONNECTION,
    EngineService,
    ProblemService,
    prepare_deployment,
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
from serving.bento.tracing import TraceMiddleware
from serving.bento.workers import decide_workers
from serving.contract.messages import EngineAnswer, EngineRequest, MatchAnswer, MatchRequest
from serving.contract.requests import MAX_TEXTS, CaptionForm, CaptionInput
from serving.contract.schemas import CaptionResponse
from serving.contract.served_models import ServedModels
from serving.engine.captioning import BatchCaptioner
from serving.engine.matching import BatchMatcher
from serving.gateway.admission import AdmissionMiddleware
from serving.gateway.engine_client import EngineClient
from serving.gateway.gateway import Gateway
from serving.http.auth import AuthMiddleware, open_paths
from serving.http.body_limit import BodyLimitMiddleware
from serving.keys import KeyRing

tame()
dispatch_at_once()
settings = decide_workers(settings_or_exit())
supervise(settings.stop_s)
configure_logs(settings.log_format)
require_disk_space()
app = create_app(settings)

Q = TypeVar("Q")
A = TypeVar("A")

# Otherwise BentoML makes the schema of the answers anew for each of them, to find this out: 4 ms.
_JSON = ContentType("application/json")


@bentoml.service(
    name="captionbox-engine",
    service_class=EngineService,
    workers=settings.engine_workers,
    traffic={"timeout": settings.timeout_s},
    runner_connection=RUNNER_CONNECTION,
    # Our own access log tells of every request, in the gateway.
    logging={"access": {"enabled": False}},
)
class Engine:
    """Captions batches of decoded pictures. Takes connections once it has captioned one."""

    def __init__(self) -> None:
        leave_interrupts_to_the_parent()
        self._in_time = partial(or_end_process, HANG_FACTOR * settings.timeout_s)
        # libgomp makes each thread that computes a team of threads of its own, and once there are
        # more of them than cores it lets them sleep between products: a third of the speed.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="computing")
        try:
            self._computing.submit(self._load).result()
        except (BrokenModelError, ModelNotFoundError) as error:
            give_up(error)

    def _load(self) -> None:
        self._captioner = BatchCaptioner(
            settings.models, settings.engine_threads, settings.precision, settings.backend
        )
        matcher = ServedModels(settings.models, settings.matcher).matcher
        self._matcher = BatchMatcher(matcher, settings.engine_threads) if matcher else None

    @bentoml.api(
        batchable=True,
        max_batch_size=settings.max_batch_size,
        # The gateway keeps the line and judges who has waited too long.
        max_latency_ms=int(settings.timeout_s * 1000),
    )
    async def caption(self, requests: list[EngineRequest]) -> Annotated[list[EngineAnswer], _JSON]:
        """Caption requests of any mixture of models and options, in order."""
        return await self._compute(self._captioner.caption, requests)

    @bentoml.api(
        batchable=True,
        max_batch_size=max(settings.max_batch_size, MAX_TEXTS),
        max_latency_ms=int(settings.timeout_s * 1000),
    )
    async def match(self, requests: list[MatchRequest]) -> Annotated[list[MatchAnswer], _JSON]:
        """Score pairs of a picture and a text, in order; a batch counts pairs."""
        if self._matcher is None:
            raise RuntimeError("no matcher is served")
        return await self._compute(self._matcher.match, requests)

    async def _compute(self, infer: Callable[[list[Q]], list[A]], requests: list[Q]) -> list[A]:
        return await wrap_future(self._computing.submit(self._watched, infer, requests))

    def _watched(self, infer: Callable[[list[Q]], list[A]], requests: list[Q]) -> list[A]:
        with self._in_time():
            return infer(requests)


@bentoml.service(
    name="captionbox",
    service_class=ProblemService,
    image=IMAGE,
    traffic={"timeout": settings.timeout_s},
    logging={"access": {"enabled": False}},
    # Our own `__is_ready__` asks the engine, and takes a refused connection for an answer.
    runner_probe={"enabled": False},
)
@bentoml.asgi_app(app, path="/")
class Captioner:
    """Takes pictures over HTTP and answers with captions."""

    engine = bentoml.depends(Engine)

    def __init__(self) -> None:
        leave_interrupts_to_the_parent()
        if settings.engine_workers != 1:
            share_out_calls(self.engine)
        self._gateway = Gateway(settings, EngineClient(self.engine))
        app.state.gateway = self._gateway
        app.state.admission = self._gateway.admission
        warn_if_open_to_others(settings)

    @bentoml.api(route="/caption", input_spec=CaptionInput)
    async def caption(self, image: Path, **parameters: Any) -> CaptionResponse:
        """Caption one picture.

        Declares the API to BentoML and its clients. Over HTTP the same address is answered by the
        mounted application, whose parser is strict where the framework's is not.
        """
        model, request_id = parameters.pop("model", None), parameters.pop("id", None)
        form = CaptionForm(
            await asyncio.to_thread(image.read_bytes),
            CaptionOptions(**parameters),
            model,
            request_id,
        )
        return await self._gateway.caption(form, request_id or "")

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Run once before any worker starts."""
        prepare_deployment(settings)

    async def __is_ready__(self) -> bool:
        return await self._gateway.ready()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Run when the worker ends."""
        await self._gateway.close()


# To a type checker the class is still a class; in truth it is a service now.
_service = cast(Any, Captioner)
_service.add_asgi_middleware(TraceMiddleware)
_service.add_asgi_middleware(BodyLimitMiddleware, max_bytes=settings.max_upload_bytes)
_service.add_asgi_middleware(AdmissionMiddleware, admission=lambda: app.state.admission)
_service.set_outer_middleware(
    AuthMiddleware,
    keys=KeyRing(settings.api_keys, settings.api_keys_file),
    open_paths=open_paths(app.state.public_paths, settings.metrics_open),
)

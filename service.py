"""The two BentoML services: `Captioner`, the gateway, and `Engine`, batched inference. Wiring only.

Of adaptive batching, BentoML's are the engine's queue, the batches and their way between processes.
Ours is when a batch starts (`serving.bento.dispatch`: BentoML's rule keeps the first ones waiting),
and the line before it (`serving.gateway.admission`: BentoML's queue has no end and no way out).
"""

from __future__ import annotations

from typing import Annotated, Any, cast

import bentoml
from bentoml.validators import ContentType

from serving.api import captions, match
from serving.app import create_app
from serving.base.keys import KeyRing
from serving.bento.apis import typed_api
from serving.bento.framework import (
    IMAGE,
    RESOURCES,
    RUNNER_CONNECTION,
    EngineService,
    ProblemService,
    prepare_deployment,
)
from serving.bento.start import EngineWorker, open_gateway, start_process
from serving.bento.tracing import TraceMiddleware
from serving.contract.messages import EngineAnswer, EngineRequest, MatchAnswer, MatchRequest
from serving.contract.requests import (
    MAX_TEXTS,
    CaptionBatchInput,
    CaptionInput,
    CaptionUrlInput,
    MatchInput,
)
from serving.contract.schemas import BatchResponse, CaptionResponse, MatchResponse
from serving.http.admission import AdmissionMiddleware
from serving.http.auth import AuthMiddleware, open_paths
from serving.http.body_limit import BodyLimitMiddleware
from serving.http.uploads import UploadMiddleware

settings = start_process()
app = create_app(settings)

# Otherwise BentoML makes the schema of the answers anew for each of them, to find this out: 4 ms.
_JSON = ContentType("application/json")


@bentoml.service(
    name="captionbox-engine",
    service_class=EngineService,
    resources=RESOURCES,
    traffic={"timeout": settings.timeout_s},
    runner_connection=RUNNER_CONNECTION,
    # Our own access log tells of every request, in the gateway.
    logging={"access": {"enabled": False}},
)
class Engine:
    """Captions batches of decoded pictures. Takes connections once it has captioned one."""

    def __init__(self) -> None:
        self._worker = EngineWorker(settings)

    @bentoml.api(
        batchable=True,
        max_batch_size=settings.max_batch_size,
        # The gateway keeps the line and judges who has waited too long.
        max_latency_ms=int(settings.timeout_s * 1000),
    )
    async def caption(self, requests: list[EngineRequest]) -> Annotated[list[EngineAnswer], _JSON]:
        """Caption requests of any mixture of models and options, in order."""
        return await self._worker.caption(requests)

    @bentoml.api(
        batchable=True,
        max_batch_size=max(settings.max_batch_size, MAX_TEXTS),
        max_latency_ms=int(settings.timeout_s * 1000),
    )
    async def match(self, requests: list[MatchRequest]) -> Annotated[list[MatchAnswer], _JSON]:
        """Score pairs of a picture and a text, in order; a batch counts pairs."""
        return await self._worker.match(requests)


@bentoml.service(
    name="captionbox",
    service_class=ProblemService,
    image=IMAGE,
    resources=RESOURCES,
    traffic={"timeout": settings.timeout_s},
    logging={"access": {"enabled": False}},
    # Our own `__is_ready__` asks the engine, and takes a refused connection for an answer.
    runner_probe={"enabled": False},
)
@bentoml.asgi_app(app, path="/")
class Captioner:
    """Takes pictures over HTTP and answers with captions.

    Its APIs are declared for BentoML and its clients. Over HTTP the mounted application answers at
    the same addresses, whose parser is strict where the framework's is not.
    """

    engine = bentoml.depends(Engine)

    def __init__(self) -> None:
        self._gateway = open_gateway(settings, self.engine, app)

    @typed_api
    async def caption(self, asked: CaptionInput) -> CaptionResponse:
        """Caption one picture."""
        return await captions.caption(self._gateway, asked, "")

    @typed_api
    async def caption_url(self, asked: CaptionUrlInput) -> CaptionResponse:
        """Caption the picture at a URL."""
        return await captions.caption_url(self._gateway, asked, "")

    @typed_api
    async def caption_batch(self, asked: CaptionBatchInput) -> BatchResponse:
        """Caption several pictures."""
        return await captions.caption_batch(self._gateway, asked, {})

    @typed_api
    async def match(self, asked: MatchInput) -> MatchResponse:
        """Rank texts by how well they fit a picture."""
        return await match.match(self._gateway, asked, "")

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


# To a type checker the classes are still classes; in truth they are services now.
cast(Any, Engine).start_workers(settings.engine_workers)
_service = cast(Any, Captioner)
_service.add_asgi_middleware(TraceMiddleware)
_service.add_asgi_middleware(BodyLimitMiddleware, max_bytes=settings.max_upload_bytes)
_service.add_asgi_middleware(
    UploadMiddleware,
    memory=settings.upload_memory_bytes,
    least_rate=settings.upload_kb_s * 1024,
    patience=settings.upload_patience_s,
)
_service.add_asgi_middleware(AdmissionMiddleware, admission=lambda: app.state.admission)
_service.set_outer_middleware(
    AuthMiddleware,
    keys=KeyRing(settings.api_keys, settings.api_keys_file),
    open_paths=open_paths(app.state.public_paths, settings.metrics_open),
)
_service.allow_origins(settings.cors_origins)

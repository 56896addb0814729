"""The gateway's work: check, decode, ask the engine, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from starlette.requests import Request

from models.preprocessing import Pixels, PreprocessSpec
from models.store import StoredModel
from serving import metrics
from serving.cores import available_cores
from serving.engine_client import EngineClient
from serving.engine_messages import EngineAnswer, EngineRequest, pack
from serving.fetch import Fetcher
from serving.forms import BatchForm, CaptionForm
from serving.images import ImageInfo, decode
from serving.problems import Problem
from serving.schemas import CaptionResponse, ModelInfo, Timing
from serving.served_models import ServedModels
from serving.settings import Settings

logger = logging.getLogger(__name__)

_FAILS_THE_BATCH = ("unsupported-option", "unknown-model")
"""Kinds of problems that are the request's, not a picture's."""


class Gateway:
    """Captions one request at a time; any number of them at once.

    Attributes:
        models: what is served.
        fetcher: fetches pictures from URLs.

    Args:
        settings: limits and the served models.
        engine: where captions come from.

    Raises:
        models.store.ModelNotFoundError: a served model is not in the store.
        models.metadata.BrokenModelError: a served model is damaged.
    """

    def __init__(self, settings: Settings, engine: EngineClient) -> None:
        self.models = ServedModels(settings.models)
        self.fetcher = Fetcher(settings)
        self._settings = settings
        self._engine = engine
        self._decoders = ThreadPoolExecutor(available_cores(), thread_name_prefix="decode")

    async def caption(self, form: CaptionForm, request_id: str) -> CaptionResponse:
        """Caption one picture.

        Raises:
            Problem: the request cannot be honoured.
        """
        model = self.models.get(form.model)
        started = time.monotonic()
        pixels, info = await self._decode(form.image, model.metadata.preprocess)
        decoded = time.monotonic()
        answer = await self._engine.caption(
            EngineRequest(model=model.name, pixels=pack(pixels), options=form.options)
        )
        answered = time.monotonic()
        _raise_for(answer)
        return CaptionResponse(
            captions=answer.captions,
            model=_model_info(model),
            image=info,
            id=form.id if form.id is not None else request_id,
            timing_ms=Timing(
                decode=_ms(decoded - started),
                queue=max(0.0, _ms(answered - decoded - answer.inference_ms / 1000)),
                inference=round(answer.inference_ms, 3),
            ),
        )

    async def caption_batch(
        self, form: BatchForm, request_id: str
    ) -> list[CaptionResponse | Problem]:
        """Caption several pictures; each has its captions or its own problem, in their order.

        Raises:
            Problem: the request as such cannot be honoured, or the server could not caption any.
        """
        self.models.get(form.model)
        answers = await asyncio.gather(
            *(self._one(single, request_id) for single in form.singles())
        )
        problems = [answer for answer in answers if isinstance(answer, Problem)]
        for problem in problems:
            if problem.type_slug in _FAILS_THE_BATCH:
                raise problem
        if len(problems) == len(answers) and all(problem.status >= 500 for problem in problems):
            raise problems[0]
        return answers

    async def _one(self, form: CaptionForm, request_id: str) -> CaptionResponse | Problem:
        try:
            return await self.caption(form, request_id)
        except Problem as problem:
            return problem
        except Exception:
            logger.exception("unhandled error on a picture of the batch of request %s", request_id)
            return Problem("internal-error")

    async def ready(self) -> bool:
        """Whether pictures can be captioned now."""
        return await self._engine.ready()

    async def close(self) -> None:
        """Let go of threads and tasks."""
        await self._engine.close()
        await self.fetcher.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def _decode(self, data: bytes, spec: PreprocessSpec) -> tuple[Pixels, ImageInfo]:
        # Off the event loop: decoding takes milliseconds to seconds.
        started = time.monotonic()
        pixels, info = await asyncio.get_running_loop().run_in_executor(
            self._decoders, decode, data, spec, self._settings.max_pixels
        )
        metrics.decode_seconds().labels(info.format).observe(time.monotonic() - started)
        return pixels, info


def gateway_of(request: Request) -> Gateway:
    """Return the gateway of the application that got `request`.

    Raises:
        Problem: 503, the service is still starting.
    """
    gateway = getattr(request.app.state, "gateway", None)
    if gateway is None:
        raise Problem("not-ready")
    return cast(Gateway, gateway)


def _raise_for(answer: EngineAnswer) -> None:
    if answer.error == "unsupported-option":
        raise Problem("unsupported-option", answer.detail)
    if answer.error is not None:
        raise Problem("internal-error", "The model failed on this picture.")


def _model_info(model: StoredModel) -> ModelInfo:
    return ModelInfo(name=model.name, version=model.version, method=model.metadata.method)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

"""The gateway's work: check, decode, ask the engine, answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import cast

from starlette.requests import ClientDisconnect, Request

from models.api.preprocessing import Pixels
from models.store import StoredModel
from serving.base import exchange as exchanges
from serving.base import metrics
from serving.base.exchange import Exchange
from serving.base.problems import Problem
from serving.base.settings import Settings
from serving.contract.messages import EngineAnswer, EngineRequest, MatchAnswer, pack
from serving.contract.requests import BatchForm, CaptionForm, MatchForm
from serving.contract.schemas import CaptionResponse, ImageInfo, MatchResponse, ModelInfo, Timing
from serving.contract.served_models import ServedModels
from serving.gateway import matching
from serving.gateway.admission import Admission
from serving.gateway.engine_client import EngineClient
from serving.pictures.decode import Decoder, most_workers
from serving.pictures.fetch import Fetcher

logger = logging.getLogger(__name__)

_FAILS_THE_BATCH = ("unsupported-option", "unknown-model")
"""Kinds of problems that are the request's, not a picture's."""


class Gateway:
    """Captions one picture at a time; any number of them at once.

    A request with several pictures says so first with `expect`, and then asks for each of them.

    Attributes:
        models: what is served.
        fetcher: fetches pictures from URLs.

    Args:
        settings: limits and the served models.
        engine: where captions come from.

    Raises:
        models.store.ModelNotFoundError: a served model is not in the store.
        models.api.metadata.BrokenModelError: a served model is damaged.
    """

    def __init__(self, settings: Settings, engine: EngineClient) -> None:
        self.models = ServedModels(settings.models, settings.matcher)
        self.fetcher = Fetcher(settings)
        self._settings = settings
        self._engine = engine
        self.admission = Admission.from_settings(settings)
        engine.on_loss = lambda: self.admission.dismiss(lambda: Problem("engine-unavailable"))
        workers = settings.decode_workers or most_workers()
        self._decoder = Decoder(settings.max_pixels, workers, settings.decode_s)

    async def fetch(self, url: str, model: StoredModel) -> bytes:
        """Return what a URL leads to, for `model` to look at.

        Raises:
            Problem: as `Fetcher.fetch`.
        """
        exchange = exchanges.current()
        if exchange is not None:
            exchange.model = model.name
        try:
            return await self.fetcher.fetch(url)
        except Problem as problem:
            metrics.fetch_failures().labels(model.name, problem.type_slug).inc()
            raise

    async def caption(self, form: CaptionForm, request_id: str) -> CaptionResponse:
        """Caption one picture.

        Raises:
            Problem: the request cannot be honoured.
            starlette.requests.ClientDisconnect: nobody waits for the answer any more.
        """
        model = self.models.choose(form.model, form.options)
        if form.options.rerank:
            return await self._caption_reranked(form, request_id)
        with self._place(model) as exchange:
            started = time.monotonic()
            pixels, info = await self._decode(form.image, model, exchange)
            decoded = time.monotonic()
            request = EngineRequest(model=model.name, pixels=pack(pixels), options=form.options)
            async with self.admission.turn(exchange):
                answer = await self._engine.caption(request)
            timing = _timing(started, decoded, time.monotonic(), answer.inference_ms)
        _raise_for(answer)
        metrics.queue_seconds().labels(model.name).observe(timing.queue / 1000)
        return CaptionResponse(
            captions=answer.captions,
            model=_model_info(model),
            image=info,
            id=form.id if form.id is not None else request_id,
            timing_ms=timing,
        )

    async def caption_batch(
        self, form: BatchForm, request_id: str
    ) -> list[CaptionResponse | Problem]:
        """Caption several pictures; each has its captions or its own problem, in their order.

        Raises:
            Problem: the request as such cannot be honoured, or the server could not caption any.
        """
        self.models.choose(form.model, form.options)
        self.expect(len(form.images))
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
        except ClientDisconnect:
            raise
        except Exception:
            logger.exception("unhandled error on a picture of the batch of request %s", request_id)
            return Problem("internal-error")

    def expect(self, images: int) -> None:
        """Take the places for all `images` pictures of the current request, or refuse it whole.

        Raises:
            Problem: 429 there are not enough places; 503 the answer would take too long.
        """
        exchange = exchanges.current()
        if exchange is not None:
            self.admission.reserve(exchange, images)

    async def _caption_reranked(self, form: CaptionForm, request_id: str) -> CaptionResponse:
        """Caption one picture and have the matcher order the captions."""
        matcher = self.models.require_matcher()
        model = self.models.get(form.model)
        defaults = model.metadata.decode
        options = matching.candidate_options(form.options, defaults)
        unranked = await self.caption(replace(form, options=options), request_id)
        texts = [caption.text for caption in unranked.captions]
        with self._place(matcher, again=True) as exchange:
            _, answers, timing = await self._score(matcher, form.image, texts, exchange)
        wanted = matching.wanted_captions(form.options, defaults)
        return unranked.model_copy(
            update={
                "captions": matching.reranked(unranked.captions, answers, wanted),
                "matcher": _model_info(matcher),
                "timing_ms": _sum(unranked.timing_ms, timing),
            }
        )

    async def match(self, form: MatchForm, request_id: str) -> MatchResponse:
        """Rank texts for one picture.

        Raises:
            Problem: the request cannot be honoured.
        """
        matcher = self.models.require_matcher(form.model)
        with self._place(matcher) as exchange:
            info, answers, timing = await self._score(matcher, form.image, form.texts, exchange)
        return MatchResponse(
            matches=matching.ranking(form.texts, answers),
            model=_model_info(matcher),
            image=info,
            id=form.id if form.id is not None else request_id,
            timing_ms=timing,
        )

    async def _score(
        self, matcher: StoredModel, image: bytes, texts: Sequence[str], exchange: Exchange
    ) -> tuple[ImageInfo, list[MatchAnswer], Timing]:
        started = time.monotonic()
        pixels, info = await self._decode(image, matcher, exchange)
        decoded = time.monotonic()
        async with self.admission.turn(exchange, len(texts)):
            answers = await self._engine.match(matching.pairs(pixels, texts))
        timing = _timing(started, decoded, time.monotonic(), matching.inference_ms(answers))
        metrics.queue_seconds().labels(matcher.name).observe(timing.queue / 1000)
        return info, answers, timing

    async def ready(self) -> bool:
        """Whether pictures can be captioned now."""
        self._decoder.start()
        return await self._engine.ready()

    async def close(self) -> None:
        """Let go of threads and tasks."""
        await self._engine.close()
        await self.fetcher.close()
        self._decoder.close()

    @contextmanager
    def _place(self, model: StoredModel, again: bool = False) -> Iterator[Exchange]:
        """Count one more picture of the request that this is part of, or of a request of its own.

        Args:
            model: what is to look at the picture.
            again: the picture has been counted before; another model looks at it now.

        Raises:
            Problem: 429 or 503, there is no place for it.
        """
        with ExitStack() as stack:
            exchange = exchanges.current()
            if exchange is None:  # not over HTTP: a call within the process
                exchange = stack.enter_context(closing(Exchange()))
                stack.enter_context(self.admission.request(exchange))
            if not (again and exchange.images):
                exchange.model = model.name
                self.admission.next_image(exchange)
            exchange.watch()
            yield exchange

    async def _decode(
        self, data: bytes, model: StoredModel, exchange: Exchange
    ) -> tuple[Pixels, ImageInfo]:
        """Decode off the event loop: it takes milliseconds to seconds."""
        spec = model.metadata.preprocess
        decoded = await self._decoder.decode(data, spec, exchange.require_client)
        info = decoded.info
        metrics.picture_decode_seconds().labels(model.name, info.format).observe(decoded.seconds)
        return decoded.pixels, info


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


def _timing(started: float, decoded: float, answered: float, inference_ms: float) -> Timing:
    return Timing(
        decode=_ms(decoded - started),
        queue=max(0.0, _ms(answered - decoded - inference_ms / 1000)),
        inference=round(inference_ms, 3),
    )


def _sum(first: Timing, second: Timing) -> Timing:
    """Return the time that both took, one after the other."""
    return Timing(
        decode=round(first.decode + second.decode, 3),
        queue=round(first.queue + second.queue, 3),
        inference=round(first.inference + second.inference, 3),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

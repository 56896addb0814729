"""The gateway's work: check, decode, ask the engine, answer."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from models.preprocessing import Pixels, PreprocessSpec
from models.store import StoredModel
from serving import metrics
from serving.cores import available_cores
from serving.engine_client import EngineClient
from serving.engine_messages import EngineAnswer, EngineRequest, pack
from serving.forms import CaptionForm
from serving.images import ImageInfo, decode
from serving.problems import Problem
from serving.schemas import CaptionResponse, ModelInfo, Timing
from serving.served_models import ServedModels
from serving.settings import Settings


class Gateway:
    """Captions one request at a time; any number of them at once.

    Args:
        settings: limits and the served models.
        engine: where captions come from.

    Raises:
        models.store.ModelNotFoundError: a served model is not in the store.
        models.metadata.BrokenModelError: a served model is damaged.
    """

    def __init__(self, settings: Settings, engine: EngineClient) -> None:
        self.models = ServedModels(settings.models)
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

    async def ready(self) -> bool:
        """Whether pictures can be captioned now."""
        return await self._engine.ready()

    async def close(self) -> None:
        """Let go of threads and tasks."""
        await self._engine.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def _decode(self, data: bytes, spec: PreprocessSpec) -> tuple[Pixels, ImageInfo]:
        # Off the event loop: decoding takes milliseconds to seconds.
        started = time.monotonic()
        pixels, info = await asyncio.get_running_loop().run_in_executor(
            self._decoders, decode, data, spec, self._settings.max_pixels
        )
        metrics.decode_seconds().labels(info.format).observe(time.monotonic() - started)
        return pixels, info


def _raise_for(answer: EngineAnswer) -> None:
    if answer.error == "unsupported-option":
        raise Problem("unsupported-option", answer.detail)
    if answer.error is not None:
        raise Problem("internal-error", "The model failed on this picture.")


def _model_info(model: StoredModel) -> ModelInfo:
    return ModelInfo(name=model.name, version=model.version, method=model.metadata.method)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

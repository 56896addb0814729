"""The engine's work: caption a batch of requests that may differ in model and options.

An exception in a batched BentoML method fails every request of the batch, so errors are returned as
values, each to the request it belongs to.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from models.api.captioner import Captioner
from models.api.device import BackendSetting, PrecisionSetting
from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions, UnsupportedOptionError
from models.runtimes.formats import PrecisionError
from serving.base import metrics
from serving.base.settings import PREFIX
from serving.contract.messages import EngineAnswer, EngineRequest, unpack
from serving.contract.served_models import ServedModels
from serving.engine import loading

logger = logging.getLogger(__name__)

_Group = tuple[str, CaptionOptions]


class BatchCaptioner:
    """Loaded models and how a batch goes through them. One thread at a time.

    Loads and warms up at once: when the constructor returns, every model has captioned a picture.

    Args:
        tags: models to load, names or `name:version`.
        threads: CPU threads to compute with.
        precision: what to compute in.
        backend: what runs the networks.

    Raises:
        models.store.ModelNotFoundError: a model is not in the store.
        models.api.metadata.BrokenModelError: a model is damaged, or cannot compute in
            `precision` or run on `backend`.
    """

    def __init__(
        self,
        tags: Sequence[str],
        threads: int,
        precision: PrecisionSetting = "auto",
        backend: BackendSetting = "torch",
    ) -> None:
        # Read when `models.registry` imports torch, which happens below.
        loading.use_threads(threads)
        self._captioners: dict[str, Captioner] = {}
        for model in ServedModels(tags).captioners():
            started = time.monotonic()
            try:
                captioner = loading.load(model.name, model.path, precision, backend)
            except PrecisionError as error:
                raise BrokenModelError(f"{PREFIX}PRECISION={precision}: {error}") from error
            except ValueError as error:
                raise BrokenModelError(f"the model {model.tag}: {error}") from error
            spec = captioner.preprocess
            captioner.caption(np.zeros((1, 3, spec.height, spec.width), np.uint8), CaptionOptions())
            self._captioners[model.name] = captioner
            seconds = time.monotonic() - started
            metrics.model_load_seconds().labels(model.name).set(seconds)
            logger.info("%s loaded and warmed up in %.1f s", model.tag, seconds)

    def caption(self, requests: Sequence[EngineRequest]) -> list[EngineAnswer]:
        """Caption requests; the answers are in the same order, errors included."""
        groups: defaultdict[_Group, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            groups[request.model, request.options.shared()].append(index)
        answers: dict[int, EngineAnswer] = {}
        for indices in groups.values():
            group = [requests[index] for index in indices]
            answers.update(zip(indices, self._caption_group(group), strict=True))
        return [answers[index] for index in range(len(requests))]

    def _caption_group(self, group: Sequence[EngineRequest]) -> list[EngineAnswer]:
        """Caption requests of one model whose options differ in seed and prompt only."""
        try:
            return self._infer(group)
        except UnsupportedOptionError as error:
            if len({request.options for request in group}) > 1:
                return self._caption_apart(group)
            refusal = EngineAnswer(error="unsupported-option", detail=str(error))
            return [refusal] * len(group)
        except Exception:
            if len(group) > 1:
                # One request's bad luck is not to be everyone's.
                logger.warning("a batch of %d failed; one by one now", len(group), exc_info=True)
                return [self._caption_group([request])[0] for request in group]
            logger.exception("captioning failed")
            return [EngineAnswer(error="failed")]

    def _caption_apart(self, group: Sequence[EngineRequest]) -> list[EngineAnswer]:
        """Caption requests by their options: what is wrong with one prompt is not the others'."""
        answers: dict[int, EngineAnswer] = {}
        for options in dict.fromkeys(request.options for request in group):
            indices = [i for i, request in enumerate(group) if request.options == options]
            found = self._caption_group([group[index] for index in indices])
            answers.update(zip(indices, found, strict=True))
        return [answers[index] for index in range(len(group))]

    def _infer(self, group: Sequence[EngineRequest]) -> list[EngineAnswer]:
        name, each = group[0].model, [request.options for request in group]
        options = each[0] if len(set(each)) == 1 else each
        captioner = self._captioners[name]
        pixels = unpack([request.pixels for request in group], captioner.preprocess)
        started = time.monotonic()
        captioner.take_work()  # what a call that failed has left
        captions = captioner.caption(pixels, options)
        seconds = time.monotonic() - started
        work = captioner.take_work()
        for stage, stage_seconds in work.seconds.items():
            metrics.stage_seconds(stage).labels(name).observe(stage_seconds)
        tokens = sum(caption.tokens or 0 for group_found in captions for caption in group_found)
        metrics.tokens().labels(name).inc(tokens)
        metrics.images_per_batch().labels(name).observe(len(group))
        metrics.inference_seconds().labels(name).observe(seconds)
        metrics.captioned().labels(name).inc(len(group))
        return [
            EngineAnswer(captions=list(found), inference_ms=seconds * 1000) for found in captions
        ]

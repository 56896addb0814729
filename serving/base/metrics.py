"""Our own Prometheus metrics, beside those that BentoML exports.

Made on first use: prometheus_client decides at import whether it shares its values between
processes, and BentoML sets that up in each worker before it loads the service.

Every label has few values: a served model, a route, a kind of problem. A value that a client can
make up would let anyone fill the memory.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256)
_FILES = {
    "counter": 256 * 1024,
    "histogram": 1024 * 1024,
    "summary": 64 * 1024,
    "gauge_all": 64 * 1024,
    "gauge_livesum": 64 * 1024,
    "gauge_livemax": 64 * 1024,
    "gauge_livemin": 64 * 1024,
}
"""A worker's files of metrics, by prometheus_client's names; several times their usual size."""

_SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@cache
def build_info() -> Gauge:
    """Return the gauge that is 1 and says which version runs."""
    return _gauge("build_info", "Version that runs; always 1", "livemax", "version")


# --- the gateway ----------------------------------------------------------------------------------


@cache
def requests() -> Counter:
    """Return the counter of answered requests, by interface, route, status and model."""
    return _counter("requests", "Requests answered", "face", "route", "status", "model")


@cache
def request_duration_seconds() -> Histogram:
    """Return the histogram of the time from a request to its answer.

    By interface, route and method: whatever costs work is sent by POST.
    """
    return _histogram(
        "request_duration_seconds", "Time from a request to its answer", "face", "method", "route"
    )


@cache
def problems() -> Counter:
    """Return the counter of problems answered with, of requests and of a batch's pictures.

    By kind, and by model where one had been chosen.
    """
    return _counter("problems", "Problems answered with, by their kind", "kind", "model")


@cache
def picture_decode_seconds() -> Histogram:
    """Return the histogram of the time to decode and resize a picture, by model and format."""
    return _histogram(
        "picture_decode_seconds", "Time to decode and resize one picture", "model", "format"
    )


@cache
def decode_workers_replaced() -> Counter:
    """Return the counter of decoding workers that were replaced, by reason."""
    return _counter("decode_workers_replaced", "Decoding workers replaced, by reason", "reason")


@cache
def queue_seconds() -> Histogram:
    """Return the histogram of the time a decoded picture waits until its batch begins, by model."""
    return _histogram(
        "queue_seconds", "Time from a picture being decoded to its batch, and transport", "model"
    )


@cache
def images_in_progress() -> Gauge:
    """Return the gauge of pictures in progress."""
    return _gauge("images_in_progress", "Pictures in progress", "livesum")


@cache
def body_bytes() -> Gauge:
    """Return the gauge of the bytes that requests in progress have sent."""
    return _gauge("body_bytes", "Bytes that requests in progress have sent", "livesum")


@cache
def images_waiting() -> Gauge:
    """Return the gauge of pictures that wait for their turn in the engine."""
    return _gauge("images_waiting", "Pictures in the gateway's line for the engine", "livesum")


@cache
def engine_up() -> Gauge:
    """Return the gauge of whether the gateway finds the engine answering: 1 or 0."""
    return _gauge("engine_up", "Whether the engine answers the gateway", "livemin")


@cache
def fetch_failures() -> Counter:
    """Return the counter of URLs, data URLs too, that gave no picture, by model and reason."""
    return _counter("fetch_failures", "URLs that gave no picture, by reason", "model", "reason")


# --- the engine -----------------------------------------------------------------------------------


@cache
def images_per_batch() -> Histogram:
    """Return the histogram of pictures captioned together, by model."""
    return _histogram(
        "images_per_batch", "Pictures captioned in one batch", "model", buckets=_BATCH_BUCKETS
    )


@cache
def inference_seconds() -> Histogram:
    """Return the histogram of a batch's time in the model, by model."""
    return _histogram("inference_seconds", "Time to caption one batch", "model")


@cache
def stage_seconds(stage: str) -> Histogram:
    """Return the histogram of a batch's time in one stage of the model, by model.

    Args:
        stage: `"encode"` (picture to features) or `"decode"` (features to words).
    """
    what = {"encode": "picture_encode", "decode": "text_decode"}[stage]
    return _histogram(f"{what}_seconds", f"Time to {stage} one batch in the model", "model")


@cache
def captioned() -> Counter:
    """Return the counter of pictures captioned, by model."""
    return _counter("images_captioned", "Pictures captioned", "model")


@cache
def tokens() -> Counter:
    """Return the counter of tokens in the captions that were returned, by model."""
    return _counter("tokens", "Tokens of the captions returned", "model")


@cache
def requests_by_key() -> Counter:
    """Return the counter of requests let in with an API key, by the key's name."""
    return _counter("requests_by_key", "Requests let in with an API key, by the key's name", "key")


@cache
def pairs_per_batch() -> Histogram:
    """Return the histogram of pairs of a picture and a text scored together, by model."""
    return _histogram(
        "pairs_per_batch",
        "Pairs of a picture and a text scored in one batch",
        "model",
        buckets=_BATCH_BUCKETS,
    )


@cache
def matched() -> Counter:
    """Return the counter of texts scored for a picture, by model."""
    return _counter("texts_matched", "Texts scored for a picture", "model")


@cache
def model_load_seconds() -> Gauge:
    """Return the gauge of the time it took to load and warm up a model, by model."""
    return _gauge("model_load_seconds", "Time to load and warm up the model", "livemax", "model")


# --- how they are made ----------------------------------------------------------------------------


def _counter(name: str, text: str, *labels: str) -> Counter:
    from prometheus_client import Counter

    return Counter(f"captionbox_{name}", text, labels)


def _gauge(name: str, text: str, mode: str, *labels: str) -> Gauge:
    from prometheus_client import Gauge

    return Gauge(f"captionbox_{name}", text, labels, multiprocess_mode=mode)  # type: ignore[arg-type]


def _histogram(
    name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS_BUCKETS
) -> Histogram:
    from prometheus_client import Histogram

    return Histogram(f"captionbox_{name}", text, labels, buckets=buckets)


def reserve_space() -> None:
    """Take the disk space for this process's metrics, before any of them is made.

    The values live in mapped files with holes. A hole that is written to when the disk is full
    kills the process, so there are to be none. Also drops what dead workers left.

    Raises:
        OSError: there is no space.
    """
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if directory is None or not hasattr(os, "posix_fallocate"):
        return
    forget_dead_workers()
    paths = {Path(directory) / f"{kind}_{os.getpid()}.db": size for kind, size in _FILES.items()}
    try:
        for path, size in paths.items():
            with path.open("a+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def forget_dead_workers() -> None:
    """Drop the gauges of workers that are no more: a killed process cannot do it itself."""
    from prometheus_client.multiprocess import mark_process_dead

    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if directory is None:
        return
    for path in Path(directory).glob("gauge_live*_*.db"):
        pid = int(path.stem.rsplit("_", 1)[1])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)
        except PermissionError:
            pass  # someone else's by now

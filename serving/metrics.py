"""Our own Prometheus metrics, beside those that BentoML exports.

Made on first use: prometheus_client decides at import whether it shares its values between
processes, and BentoML sets that up in each worker before it loads the service.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

_BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256)
_SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@cache
def images_per_batch() -> Histogram:
    """Return the histogram of pictures captioned together, by model."""
    from prometheus_client import Histogram

    return Histogram(
        "captionbox_images_per_batch",
        "Pictures captioned in one batch",
        ["model"],
        buckets=_BATCH_BUCKETS,
    )


@cache
def inference_seconds() -> Histogram:
    """Return the histogram of a batch's time in the model, by model."""
    from prometheus_client import Histogram

    return Histogram(
        "captionbox_inference_seconds",
        "Time to caption one batch",
        ["model"],
        buckets=_SECONDS_BUCKETS,
    )


@cache
def captioned() -> Counter:
    """Return the counter of pictures captioned, by model."""
    from prometheus_client import Counter

    return Counter("captionbox_images_captioned", "Pictures captioned", ["model"])


@cache
def problems() -> Counter:
    """Return the counter of requests answered with a problem, by its kind."""
    from prometheus_client import Counter

    return Counter("captionbox_problems", "Requests answered with a problem, by its kind", ["kind"])


@cache
def decode_seconds() -> Histogram:
    """Return the histogram of the time to decode and resize a picture, by format."""
    from prometheus_client import Histogram

    return Histogram(
        "captionbox_decode_seconds",
        "Time to decode and resize one picture",
        ["format"],
        buckets=_SECONDS_BUCKETS,
    )

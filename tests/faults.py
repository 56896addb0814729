"""The real service with a model that misbehaves: on pictures of one plain colour each.

Served as `tests.faults:Captioner`. Everything else is the service itself.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.api.captioner import Captioner as AnyCaptioner
from models.api.captioner import Work
from models.api.options import CaptionOptions
from models.api.results import Caption
from models.registry import load_captioner
from serving.engine import loading

RAISING = (255, 0, 255)
SLOW = (0, 255, 255)
HANGING = (255, 255, 0)
DEADLY = (255, 0, 0)

SLOW_SECONDS = 0.5
"""What a batch with a `SLOW` picture takes longer."""


class FaultyCaptioner(AnyCaptioner):
    """Captions with another captioner, after doing what the pictures' colours ask for."""

    def __init__(self, inner: AnyCaptioner) -> None:
        self.inner = inner
        self.method, self.honours = inner.method, inner.honours  # type: ignore[misc]
        self.preprocess, self.defaults = inner.preprocess, inner.defaults

    @classmethod
    def load(cls, directory: Path) -> Any:
        return cls(load_captioner(directory))

    def caption(self, pixels: NDArray[np.uint8], options: CaptionOptions) -> list[list[Caption]]:
        middle = pixels.shape[2] // 2
        colours = {tuple(colour) for colour in pixels[:, :, middle, middle].tolist()}
        if SLOW in colours:
            time.sleep(SLOW_SECONDS)
        if RAISING in colours:
            raise RuntimeError("this picture is poisoned")
        if HANGING in colours:
            time.sleep(3600)
        if DEADLY in colours:
            os._exit(11)
        return self.inner.caption(pixels, options)

    def take_work(self) -> Work:
        return self.inner.take_work()


_load = loading.load


def _load_faulty(*arguments: Any) -> Any:
    return FaultyCaptioner(_load(*arguments))


loading.load = _load_faulty

from service import Captioner, Engine, app  # noqa: E402, F401 - made with the captioner above

SECRET = "/srv/secret/path.py"


async def _boom(_: Request) -> Response:
    raise RuntimeError(SECRET)


async def _late(_: Request) -> Response:
    await asyncio.sleep(3600)
    raise AssertionError


# Faults of the gateway itself.
app.router.routes += [Route("/boom", _boom), Route("/v1/boom", _boom), Route("/late", _late)]

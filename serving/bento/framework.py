"""Where we hook into BentoML's services beyond its decorators; see also `bento.supervisor`."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
from typing import Any, TypeVar, cast

from _bentoml_sdk import Service  # type: ignore[import-untyped]
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http import traffic
from bentoml.images import Image

from models.api.metadata import BrokenModelError
from models.hub.known_models import find_known
from models.store import ModelNotFoundError
from serving.base.environment import SettingsError, load_settings
from serving.base.settings import PREFIX, Settings
from serving.bento.tracing import trace_lightly
from serving.contract.run_record import open_record
from serving.contract.served_models import ServedModels, WrongKindError
from serving.http.access import AccessMiddleware
from serving.http.cors import CorsMiddleware
from serving.http.known_paths import KnownPathsMiddleware
from serving.http.problem_middleware import ProblemMiddleware
from serving.http.time_limit import TimeLimitMiddleware

logger = logging.getLogger(__name__)

T = TypeVar("T")

BASE_IMAGE = "python:3.11-slim"

# A distribution by name would have BentoML install a compiler and git first: 300 MB and a minute
# for packages that all come as wheels. "none" is none that it knows.
IMAGE = Image(base_image=BASE_IMAGE, distro="none")
"""The image that `bentoml containerize` makes; `make image` finishes it (deploy/Dockerfile). No
effect on a running server."""

RUNNER_CONNECTION = {"max_requests": 2**31 - 1, "max_age": 1e9}
"""How long the gateway keeps its connections to the engine: for good.

By default BentoML makes a new session every 100 requests or 300 seconds and closes the old one
under the requests that are still running on it.
"""

RESOURCES: dict[str, Any] = {"cpu": "1", "memory": "1Gi"}
"""What a Bento says that each of its two services should have; large models need more."""

_VENDOR_ROUTES = {"index", "openapi-spec", "static_content", "assets"}
"""BentoML's own pages: the index loads a third party's tracker, and the document is not ours."""


class EngineService(Service[T]):
    """A BentoML service that makes no spans in vain, and counts its workers where it runs.

    `bentoml build` writes a service's configuration into the Bento. What hangs on the machine has
    no place in it, for the machine that builds is seldom the one that serves.
    """

    _workers: int | None = None

    def start_workers(self, number: int | None) -> None:
        """Set how many processes serve on this machine; one by default."""
        self._workers = number

    def inject_config(self) -> None:
        """Hand the configuration of this service, and of those it needs, to the framework."""
        super().inject_config()
        for name, service in self.all_services().items():
            if isinstance(service, EngineService) and service._workers is not None:
                BentoMLContainer.config.services[name].workers.set(service._workers)

    def to_asgi(self, is_main: bool = True) -> Any:
        """Return the ASGI application."""
        app = super().to_asgi(is_main)
        trace_lightly(app)
        return app


class ProblemService(EngineService[T]):
    """A BentoML service whose every error answer is problem+json, and whose pages are our own.

    BentoML puts a service's own middlewares inside its timeout and concurrency limits, so 504 and
    429 would pass them by. Wrapping the finished application covers everything.

    Where the mounted application has a route of the same path as an `@bentoml.api` method, the
    mounted one answers: the method then declares the API, in `/schema.json` and to BentoML's
    clients, and is called in process.
    """

    _outer: tuple[type[Any], dict[str, Any]] | None = None
    _cors_origins: tuple[str, ...] = ()

    def set_outer_middleware(self, middleware: type[Any], **options: Any) -> None:
        """Put one ASGI middleware around all of BentoML's, within the problem responses."""
        self._outer = (middleware, options)

    def allow_origins(self, origins: tuple[str, ...]) -> None:
        """Let web pages of these origins use the API; BentoML's own CORS lies within the keys."""
        self._cors_origins = origins

    def to_asgi(self, is_main: bool = True) -> Any:
        """Return the ASGI application."""
        app = super().to_asgi(is_main)
        routes = app.router.routes
        ours = {route.path for mounted, *_ in self.mount_apps for route in mounted.routes}
        routes[:] = [
            route
            for route in routes
            if route.name not in _VENDOR_ROUTES and getattr(route, "path", None) not in ours
        ]
        app = KnownPathsMiddleware(app)
        if self._outer is not None:
            middleware, options = self._outer
            app = middleware(app, **options)
        app = ProblemMiddleware(app)
        if self._cors_origins:
            app = CorsMiddleware(app, self._cors_origins)
        return AccessMiddleware(app)


def settings_or_exit() -> Settings:
    """Return the settings; end the process with one line on standard error if they are wrong."""
    try:
        return load_settings()
    except SettingsError as error:
        raise SystemExit(f"captionbox: {error}") from None


def prepare_deployment(settings: Settings) -> None:
    """Get ready to serve; runs once, in the parent of all worker processes.

    Fixes the models' versions for every process that follows: a worker that is restarted after
    someone has registered a newer version must not serve that one next to workers with the old.
    """
    try:
        served = ServedModels(settings.models, settings.matcher)
    except (ModelNotFoundError, BrokenModelError, WrongKindError) as error:
        raise SystemExit(f"captionbox: {error}{_hint(settings, error)}") from None
    os.environ[PREFIX + "MODELS"] = ",".join(served.tags())
    if served.matcher is not None:
        os.environ[PREFIX + "MATCHER"] = served.matcher.tag
    open_record()
    # In a container BentoML ends the whole server when a worker dies, and with it every request.
    os.environ.pop("BENTOML_CONTAINERIZED", None)


def _hint(settings: Settings, error: Exception) -> str:
    """Return how the missing model can be had, if it is one that can be had by name."""
    missing = [
        name
        for name in settings.served_names
        if isinstance(error, ModelNotFoundError) and f"{name!r}" in str(error) and find_known(name)
    ]
    return f"; `python -m models import {missing[0]}` fetches it" if missing else ""


def share_out_calls(engine: Any) -> None:
    """Have each call that is not alone make a connection of its own; before the first one.

    The engine's processes listen on one socket, and one of them takes all the connections that
    come in together. Connections that are kept would leave the others idle for good. A call that
    is alone does not mind who answers it, and a new connection would cost it a millisecond.

    Args:
        engine: what `bentoml.depends` gives.
    """
    client = getattr(engine, "to_async", None)
    plain = getattr(client, "_call", None)
    if plain is None:  # the engine itself, in this very process: a test
        return
    out = 0

    async def call(endpoint: Any, args: Any, kwargs: Any, **options: Any) -> Any:
        nonlocal out
        if out:
            options["headers"] = {"Connection": "close", **(options.get("headers") or {})}
        out += 1
        try:
            return await plain(endpoint, args, kwargs, **options)
        finally:
            out -= 1

    cast(Any, client)._call = call


def warn_if_open_to_others(settings: Settings) -> None:
    """Say in the log that others than this machine may use the service without a key, if so."""
    host = _listening_on()
    if settings.has_keys or host is None:
        return
    if not ipaddress.ip_address(host).is_loopback:
        logger.warning(
            "no API keys are set, and the server listens on %s: whoever can reach it may use it; "
            "see %sAPI_KEYS",
            host,
            PREFIX,
        )


def _listening_on() -> str | None:
    """Return the address that this worker takes connections on; None where that is not known.

    BentoML's parent process opens the socket and hands its number to the worker's command line.
    """
    try:
        number = int(sys.argv[sys.argv.index("--fd") + 1])
        with socket.socket(fileno=os.dup(number)) as listening:
            host: str = listening.getsockname()[0]
    except (ValueError, IndexError, OSError, TypeError):
        return None
    return host


def tame() -> None:
    """Set what BentoML leaves to the environment; first of all, in every process.

    It reports usage to its makers unless told not to. Progress bars have no place in a server's
    log. Its time limit is replaced by one that lets go of requests.
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    cast(Any, traffic).TimeoutMiddleware = TimeLimitMiddleware

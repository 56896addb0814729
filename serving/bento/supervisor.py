"""The parent of all worker processes: what BentoML's own supervision lacks.

BentoML has circus watch its workers. It looks for dead ones every ten seconds, stops everything at
once (the engine under the gateway's running requests), waits a day for a worker that does not end,
and knows no reason to end with an error. Every assumption about that is here; if a later BentoML is
built otherwise, its own ways stay.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NoReturn

import bentoml
from bentoml._internal.utils import circus

from serving.base import metrics
from serving.contract import run_record

logger = logging.getLogger(__name__)

HANG_FACTOR = 2
"""A batch that has taken so many times the longest a client waits will not end at all."""

ENGINE_STOP_SECONDS = 5.0
"""How long an engine process gets to end once the gateway is gone; nobody waits for it then."""

_CHECK_SECONDS = 1.0
_CLOSE_SECONDS = 0.5
_GATEWAY = "service"
_GIVE_UP = signal.SIGUSR1
_SUPERVISED = "_CAPTIONBOX_SUPERVISED"


def supervise(stop_seconds: float) -> None:
    """Have the parent process notice dead workers soon, stop in order, and fail when told to.

    Args:
        stop_seconds: how long requests in progress get to finish when the server is stopped.
    """
    make_arbiter = getattr(circus, "create_standalone_arbiter", None)
    if make_arbiter is not None and not isinstance(make_arbiter, partial):
        circus.create_standalone_arbiter = partial(_make, make_arbiter, stop_seconds)
        os.environ[_SUPERVISED] = "1"


def give_up(error: Exception) -> NoReturn:
    """End the whole server with one line that says why: starting this worker again would not help.

    Called in a worker. BentoML restarts one that fails to start, for ever. The parent says the line
    when everything else has ended: several workers may find the same fault, and what the server
    logs at its end would bury a line of theirs.
    """
    if not _in_worker():
        raise error
    if _SUPERVISED in os.environ and run_record.leave_last_word(str(error)):
        os.kill(os.getppid(), _GIVE_UP)
    else:
        logger.error("captionbox: %s", error)
        os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)


def leave_interrupts_to_the_parent() -> None:
    """Have this worker not end at Ctrl+C, which reaches every process of a terminal.

    The parent gets it too, and stops this worker when its turn has come.
    """
    if _in_worker():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def require_disk_space() -> None:
    """Take the disk space that this worker needs; end it if there is none.

    It is started again until there is some. First of all in a process: see `serving.base.metrics`.
    """
    if not _in_worker():
        return
    try:
        metrics.reserve_space()
    except OSError as error:
        logger.error("captionbox: no disk space for metrics: %s", error)
        os._exit(1)


@contextmanager
def or_end_process(seconds: float) -> Iterator[None]:
    """End this worker, its stacks on standard error, if what is inside takes longer than `seconds`.

    Even if it holds Python's lock all the while. One at a time in a process.
    """
    if not _in_worker():
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _in_worker() -> bool:
    """Whether this is a worker process, and not the parent, a test, or a build."""
    return bentoml.server_context.worker_index is not None


def _make(make_arbiter: Callable[..., Any], stop_seconds: float, *args: Any, **kwargs: Any) -> Any:
    arbiter = make_arbiter(*args, **{"check_delay": _CHECK_SECONDS, **kwargs})
    for watcher in arbiter.watchers:
        is_gateway = watcher.name == _GATEWAY
        watcher.graceful_timeout = stop_seconds if is_gateway else ENGINE_STOP_SECONDS
    arbiter._stop_watchers = partial(_stop_in_order, arbiter)
    arbiter.start = partial(_start, arbiter, arbiter.start)
    return arbiter


def _start(arbiter: Any, start: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Run until the server has been stopped; raise `SystemExit` if that is a failure."""
    gave_up = False

    def note(*_: Any) -> None:
        nonlocal gave_up
        gave_up = True
        os.kill(os.getpid(), signal.SIGTERM)

    for one in _public(arbiter):
        try:
            _try_to_listen(one)
        except OSError as error:
            arbiter.exit_stack.close()
            where = f"{one.host}:{one.port}"
            raise SystemExit(f"captionbox: cannot listen on {where}: {error.strerror}") from None
    signal.signal(_GIVE_UP, note)
    start(*args, **kwargs)
    if gave_up:
        raise SystemExit(f"captionbox: {run_record.last_word()}")


def _public(arbiter: Any) -> list[Any]:
    """Return the sockets that clients connect to."""
    return [one for one in arbiter.sockets.values() if one.family != socket.AF_UNIX]


def _try_to_listen(wanted: Any) -> None:
    """Raise `OSError` if the address cannot be listened on; circus would say so at length."""
    with socket.socket(wanted.family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((wanted.host, wanted.port))


async def _stop_in_order(
    arbiter: Any,
    close_output_streams: bool = False,
    watcher_iter_func: Callable[..., Iterable[Any]] | None = None,
) -> None:
    """Stop the gateway, which finishes its requests; then the engine, which they needed."""
    watchers = list((watcher_iter_func or arbiter.iter_watchers)(reverse=False))
    # Stopping begins at once; what is awaited is its end.
    gateway = [one._stop(close_output_streams) for one in watchers if one.name == _GATEWAY]
    await asyncio.sleep(_CLOSE_SECONDS)
    for one in _public(arbiter):
        # Else the system would take connections that nobody serves: every process here holds the
        # listening socket, not only the gateway, which has closed it.
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
    for end in gateway:
        await end
    for end in [one._stop(close_output_streams) for one in watchers if one.name != _GATEWAY]:
        await end

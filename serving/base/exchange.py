"""One request on its way through the gateway: who it is, what it asks, whether anyone still waits.

Made by `serving.http.access.AccessMiddleware`, found by everything inside it through `current()`:
the code that captions a picture needs to know that the client has gone, and the log line in the end
needs to know what was captioned.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

_current: ContextVar[Exchange | None] = ContextVar("captionbox_exchange", default=None)


@dataclass
class Exchange:
    """A request and its answer.

    Attributes:
        method: HTTP method.
        route: the route that answers, empty where none does. There are few: fit for a label.
        model: name of the model that captioned, empty where none did.
        images: how many pictures were to be captioned so far.
        body_bytes: bytes of its body that have come.
        key_name: name of the API key that was used, empty where none was. Never the key.
        problem: kind of the problem that it was answered with, empty where there was none.
        places: how many pictures it may have in progress; see `serving.gateway.admission`.
        started: `time.monotonic()` when it came in.
        asked: `time.monotonic()` when its first picture was there; an upload can take its time.
    """

    method: str = ""
    route: str = ""
    model: str = ""
    images: int = 0
    body_bytes: int = 0
    key_name: str = ""
    problem: str = ""
    places: int = 0
    started: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)

    _receive: Receive | None = None
    _body_read: bool = False
    _gone: bool = False
    _watcher: asyncio.Task[None] | None = None
    _callbacks: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._token = _current.set(self)

    @property
    def seconds(self) -> float:
        """Seconds since the request came in."""
        return time.monotonic() - self.started

    def listen(self, receive: Receive) -> Receive:
        """Return an ASGI `receive` that notices the end of the body and of the connection."""
        self._receive = receive

        async def noticing() -> Message:
            message = await receive()
            self._notice(message)
            return message

        return noticing

    def _notice(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self._gone = True
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()
        elif message["type"] == "http.request":
            self.body_bytes += len(message.get("body", b""))
            self._body_read = not message.get("more_body")

    def watch(self) -> None:
        """From now on notice it when the client goes. The body must have been read."""
        if self._watcher is None and self._body_read and not self._gone:
            self._watcher = asyncio.create_task(self._wait_for_disconnect())

    async def _wait_for_disconnect(self) -> None:
        # Others may be receiving too: a server tells everyone of a disconnect, again and again.
        while self._receive is not None and not self._gone:
            self._notice(await self._receive())

    def require_client(self) -> None:
        """Raise `ClientDisconnect` if the client is known to have gone."""
        if self._gone:
            raise ClientDisconnect

    def on_leaving(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once, when the client goes."""
        self._callbacks.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Undo `on_leaving`."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    def close(self) -> None:
        """Stop watching; the request has been answered, or nobody waits for an answer."""
        if self._watcher is not None:
            self._watcher.cancel()
        _current.reset(self._token)


def current() -> Exchange | None:
    """Return the request that this code runs for; `None` outside of any."""
    return _current.get()

"""The asynchronous client: `Captionbox`, to be awaited. For asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from captionbox import batches, calls
from captionbox.calls import Call
from captionbox.errors import CaptionboxError
from captionbox.exchange import Tries, VersionWatch
from captionbox.images import ImageInput, Link, Upload, load
from captionbox.options import CaptionOptions, given
from captionbox.outcomes import Outcome
from captionbox.results import CaptionResult, MatchResult, ModelInfo
from captionbox.settings import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, resolve
from captionbox.windows import amap_window, check_concurrency

T = TypeVar("T")
ImageT = TypeVar("ImageT", bound=ImageInput)


class AsyncCaptionbox:
    """Asks a Captionbox server from asyncio code; close it, or use it with `async with`.

    Arguments, options, results and errors are those of `Captionbox`. Files are read in threads, so
    the event loop never waits for a disk.

    Args:
        base_url: as `Captionbox`.
        api_key: as `Captionbox`.
        timeout: as `Captionbox`.
        max_retries: as `Captionbox`.
        transport: asynchronous httpx transport to send with.

    Raises:
        ValueError: an argument or its environment variable makes no sense.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = resolve(base_url, api_key, timeout, max_retries)
        self._versions, self._batch_route = VersionWatch(), batches.BatchRoute()
        self._http = httpx.AsyncClient(
            base_url=self._settings.base_url,
            headers=self._settings.headers(),
            timeout=self._settings.limits(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            transport=transport,
        )

    async def caption(self, image: ImageInput, **options: Unpack[CaptionOptions]) -> CaptionResult:
        """Caption one image; see `Captionbox.caption`."""
        given(options)
        loaded = await asyncio.to_thread(load, image)
        return await self._send(calls.caption_call(loaded, options))

    async def caption_batch(
        self, images: Sequence[ImageT], **options: Unpack[CaptionOptions]
    ) -> list[Outcome[ImageT]]:
        """Caption a list of images with few requests; see `Captionbox.caption_batch`."""
        given(options)
        loaded = [await self._load_or_error(image) for image in images]
        answers = await self._carry_out(batches.plan(loaded, options, self._batch_route))
        return batches.outcomes(images, answers)

    def caption_many(
        self,
        images: Iterable[ImageT] | AsyncIterable[ImageT],
        *,
        concurrency: int = 8,
        ordered: bool = True,
        **options: Unpack[CaptionOptions],
    ) -> AsyncGenerator[Outcome[ImageT], None]:
        """Caption any number of images, several at a time; see `Captionbox.caption_many`.

        `images` may be asynchronous: results are yielded while it is still thinking about its next
        item.
        """
        given(options)
        check_concurrency(concurrency)

        async def work(index: int, image: ImageT) -> Outcome[ImageT]:
            try:
                return Outcome(index, image, result=await self.caption(image, **options))
            except CaptionboxError as error:
                return Outcome(index, image, error=error)

        return amap_window(work, images, concurrency, ordered)

    async def match(
        self, image: ImageInput, texts: Sequence[str], *, model: str | None = None
    ) -> MatchResult:
        """Rank texts by how well they fit an image; see `Captionbox.match`."""
        loaded = await asyncio.to_thread(load, image)
        return await self._send(calls.match_call(loaded, texts, model))

    async def models(self) -> list[ModelInfo]:
        """Return the models that the server offers, the default first."""
        return await self._send(calls.models_call())

    async def server_version(self) -> str | None:
        """Return the server's version, or None where it does not tell."""
        version = await self._send(calls.version_call())
        self._versions.see(version)
        return version

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def base_url(self) -> str:
        """Where the server is; without a name and password that were given with it."""
        return self._settings.shown_url()

    def __repr__(self) -> str:
        return f"AsyncCaptionbox({self.base_url!r})"

    async def _send(self, call: Call[T]) -> T:
        request = call.build_with(self._http.build_request)
        tries = Tries(self._settings, self._versions)
        while True:
            try:
                response = await self._http.send(request)
            except httpx.RequestError as error:
                pause = tries.failed(error)
            else:
                answer = tries.answered(response)
                if answer is None:
                    return call.read(response)
                pause = answer
            await asyncio.sleep(pause)

    async def _carry_out(self, plan: batches.Plan) -> dict[int, batches.Answer]:
        reply: Any = None
        while True:
            try:
                call = plan.send(reply)
            except StopIteration as stop:
                answers: dict[int, batches.Answer] = stop.value
                return answers
            try:
                reply = await self._send(call)
            except CaptionboxError as error:
                reply = error

    async def _load_or_error(self, image: ImageInput) -> Upload | Link | CaptionboxError:
        try:
            return await asyncio.to_thread(load, image)
        except CaptionboxError as error:
            return error

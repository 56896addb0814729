"""The asynchronous client: `Captionbox`, to be awaited. For asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from captionbox import batches, calls
from captionbox.calls import Call, read_answer
from captionbox.errors import APIStatusError, CaptionboxError
from captionbox.images import ImageInput, Link, Upload, load
from captionbox.options import CaptionOptions, given
from captionbox.outcomes import Outcome
from captionbox.results import CaptionResult, MatchResult, ModelInfo
from captionbox.settings import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, from_environment, resolve
from captionbox.transport.downloads import AsyncDownloads, fetches_no_urls
from captionbox.transport.exchange import Tries, VersionWatch
from captionbox.transport.grouping import achained, agrouped, check_batch_size, numbered
from captionbox.transport.network import Route, certificates, route_to
from captionbox.transport.windows import amap_window, check_concurrency

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
        wait_for_server: as `Captionbox`.
        fetch_urls: as `Captionbox`.
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
        wait_for_server: bool = True,
        fetch_urls: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = resolve(base_url, api_key, timeout, max_retries, wait_for_server)
        self._versions, self._batch_route = VersionWatch(), batches.BatchRoute()
        self._downloads = AsyncDownloads() if fetch_urls else None
        self._fetches_here = False
        # A transport of the caller's own is the way there.
        address = httpx.URL(self._settings.base_url)
        self._route = Route() if transport else route_to(address)
        self._http = httpx.AsyncClient(
            base_url=self._settings.base_url,
            headers=self._settings.headers(),
            timeout=self._settings.limits(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            transport=transport,
            proxy=self._route.proxy,
            verify=False if transport else certificates(),
            trust_env=False,
        )

    @classmethod
    def from_env(cls, **more: Any) -> Self:
        """Return a client as the environment says; see `Captionbox.from_env`."""
        return cls(**(from_environment() | more))

    async def caption(self, image: ImageInput, **options: Unpack[CaptionOptions]) -> CaptionResult:
        """Caption one image; see `Captionbox.caption`."""
        given(options)
        loaded = await asyncio.to_thread(load, image)
        return await self._caption(loaded, options)

    async def caption_batch(
        self, images: Sequence[ImageT], **options: Unpack[CaptionOptions]
    ) -> list[Outcome[ImageT]]:
        """Caption a list of images with few requests; see `Captionbox.caption_batch`."""
        given(options)
        loaded = await asyncio.to_thread(_load_all, images)
        answers = await self._carry_out(batches.plan(loaded, options, self._batch_route), options)
        return batches.outcomes(images, answers)

    def caption_many(
        self,
        images: Iterable[ImageT] | AsyncIterable[ImageT],
        *,
        concurrency: int = 8,
        batch_size: int | Callable[[], int] = 1,
        ordered: bool = True,
        **options: Unpack[CaptionOptions],
    ) -> AsyncGenerator[Outcome[ImageT], None]:
        """Caption any number of images, several at a time; see `Captionbox.caption_many`.

        `images` may be asynchronous: results are yielded while it is still thinking about its next
        item, and a request does not wait for it. `batch_size` may be a function that is asked
        before each request.
        """
        given(options)
        check_concurrency(concurrency)
        if isinstance(batch_size, int):
            check_batch_size(batch_size, batches.MOST_IMAGES)

        async def work(index: int, image: ImageT) -> Outcome[ImageT]:
            try:
                return Outcome(index, image, result=await self.caption(image, **options))
            except CaptionboxError as error:
                return Outcome(index, image, error=error)

        async def work_on(number: int, group: list[tuple[int, ImageT]]) -> list[Outcome[ImageT]]:
            found = await self.caption_batch([image for _, image in group], **options)
            return [replace(one, index=group[one.index][0]) for one in found]

        if batch_size == 1:
            return amap_window(work, images, concurrency, ordered)
        pulled = agrouped(numbered(images), batch_size)
        return achained(amap_window(work_on, pulled, concurrency, ordered))

    async def match(
        self, image: ImageInput, texts: Sequence[str], *, model: str | None = None
    ) -> MatchResult:
        """Rank texts by how well they fit an image; see `Captionbox.match`."""
        loaded = await asyncio.to_thread(load, image)
        return await self._send(calls.match_call(loaded, texts, model))

    async def models(self) -> list[ModelInfo]:
        """Return the models that the server offers, the default first."""
        return await self._send(calls.models_call())

    async def ask_tools(self, method: str, params: Mapping[str, object]) -> Mapping[str, Any]:
        """Ask the server's tools for agents, which speak the Model Context Protocol.

        Args:
            method: of the protocol, such as `tools/list`.
            params: of the method.

        Returns:
            The answer's message of JSON-RPC, with a `result` or an `error`.

        Raises:
            NotFoundError: the server has no such tools.
            CaptionboxError: as `caption`.
        """
        return await self._send(calls.agent_call(method, params))

    async def server_version(self) -> str | None:
        """Return the server's version, or None where it does not tell."""
        version = await self._send(calls.version_call())
        self._versions.see(version)
        return version

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        if self._downloads:
            await self._downloads.close()

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
        tries = Tries(self._settings, self._route, self._versions)
        while True:
            try:
                response = await self._http.send(request)
            except httpx.RequestError as error:
                pause = tries.failed(error, request)
            except httpx.InvalidURL as error:
                raise tries.misled(error) from error
            else:
                answer = tries.answered(response)
                if answer is None:
                    return read_answer(call, response)
                pause = answer
            await asyncio.sleep(pause)

    async def _caption(self, image: Upload | Link, options: CaptionOptions) -> CaptionResult:
        """Ask for one image; fetch it first where the server does not and this client may."""
        if isinstance(image, Link) and self._downloads and self._fetches_here:
            image = await self._downloads.fetch(image)
        try:
            return await self._send(calls.caption_call(image, options))
        except APIStatusError as error:
            if not (isinstance(image, Link) and self._downloads and fetches_no_urls(error)):
                raise
        self._fetches_here = True
        return await self._caption(image, options)

    async def _carry_out(
        self, plan: batches.Plan, options: CaptionOptions
    ) -> dict[int, batches.Answer]:
        reply: Any = None
        while True:
            try:
                step = plan.send(reply)
            except StopIteration as stop:
                answers: dict[int, batches.Answer] = stop.value
                return answers
            try:
                reply = await self._take_step(step, options)
            except CaptionboxError as error:
                reply = error

    async def _take_step(self, step: Call[Any] | Upload | Link, options: CaptionOptions) -> Any:
        if isinstance(step, Call):
            return await self._send(step)
        return await self._caption(step, options)


def _load_all(images: Sequence[ImageInput]) -> list[Upload | Link | CaptionboxError]:
    return [_load_or_error(image) for image in images]


def _load_or_error(image: ImageInput) -> Upload | Link | CaptionboxError:
    try:
        return load(image)
    except CaptionboxError as error:
        return error

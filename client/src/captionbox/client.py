"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
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
from captionbox.transport.downloads import Downloads, fetches_no_urls
from captionbox.transport.exchange import Tries, VersionWatch
from captionbox.transport.grouping import chained, check_batch_size, grouped
from captionbox.transport.network import Route, certificates, route_to
from captionbox.transport.windows import check_concurrency, map_window

T = TypeVar("T")
ImageT = TypeVar("ImageT", bound=ImageInput)


class Captionbox:
    """Asks a Captionbox server. Safe to share between threads; close it, or use it with `with`.

    Args:
        base_url: where the server is; by default `CAPTIONBOX_BASE_URL`, otherwise
            `http://localhost:3000`. A path in front of the server's routes is kept.
        api_key: key for a server that wants one; by default `CAPTIONBOX_API_KEY`.
        timeout: seconds that one try may wait for the server; None for no limit.
        max_retries: further tries after a failed connection, a 408, 429 or 503; 0 for none.
        wait_for_server: try a failed connection again, too, before there has been any answer.
        fetch_urls: where the server fetches no http(s) URLs, fetch them here and send the pictures.
            This machine then asks whatever address is given: only for addresses that you trust.
        transport: httpx transport to send with: for tests, Unix sockets, certificates of your own.
            Proxies and certificates of the environment are then for `fetch_urls` alone.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = resolve(base_url, api_key, timeout, max_retries, wait_for_server)
        self._versions, self._batch_route = VersionWatch(), batches.BatchRoute()
        self._downloads = Downloads() if fetch_urls else None
        self._fetches_here = False
        # A transport of the caller's own is the way there.
        address = httpx.URL(self._settings.base_url)
        self._route = Route() if transport else route_to(address)
        self._http = httpx.Client(
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
        """Return a client as the environment says.

        Reads `CAPTIONBOX_BASE_URL`, `CAPTIONBOX_API_KEY`, `CAPTIONBOX_TIMEOUT` (seconds) and
        `CAPTIONBOX_MAX_RETRIES`.

        Args:
            **more: arguments that are not left to the environment.

        Raises:
            ValueError: a variable makes no sense; says which.
        """
        return cls(**(from_environment() | more))

    def caption(self, image: ImageInput, **options: Unpack[CaptionOptions]) -> CaptionResult:
        """Caption one image.

        Args:
            image: a path, the file's bytes, a binary file object, a Pillow image, an http(s) URL
                that the server fetches (if its owner allows that; otherwise see `fetch_urls`), or a
                data: URL.
            **options: see `CaptionOptions` for each option and its limits.

        Raises:
            ImageInputError: the image cannot be read on this side.
            UnsupportedMediaTypeError: it is not a picture of a format that the server reads.
            UnprocessableContentError: it is damaged, or an option is refused.
            CaptionboxError: anything else that can go wrong; see `captionbox.errors`.
            TypeError: there is no option of that name, or `image` is of another type.
        """
        given(options)
        return self._caption(load(image), options)

    def caption_batch(
        self, images: Sequence[ImageT], **options: Unpack[CaptionOptions]
    ) -> list[Outcome[ImageT]]:
        """Caption a list of images with as few requests as may be, all with the same options.

        Up to 32 images share a request; longer lists take several. All images are held in memory:
        for more than a few hundred use `caption_many`. A server without `/caption_batch` is asked
        image by image.

        Returns:
            One outcome an image, in order. Failures are values: one bad image, or one failed
            request, never loses the answers to the others.

        Raises:
            TypeError: as `caption`.
        """
        given(options)
        loaded = [_load_or_error(image) for image in images]
        answers = self._carry_out(batches.plan(loaded, options, self._batch_route), options)
        return batches.outcomes(images, answers)

    def caption_many(
        self,
        images: Iterable[ImageT],
        *,
        concurrency: int = 8,
        batch_size: int = 1,
        ordered: bool = True,
        **options: Unpack[CaptionOptions],
    ) -> Generator[Outcome[ImageT], None, None]:
        """Caption any number of images, several at a time, all with the same options.

        Holds at most `2 * concurrency * batch_size` images: the next one is pulled from `images`
        only when a result has been taken. So `images` may be endless, and who takes slowly is not
        overrun.

        Args:
            images: pulled in the calling thread.
            concurrency: how many requests are in progress at once, 1 or more.
            batch_size: how many images share a request, 1 to 32. Several are faster where they are
                small; `images` are then pulled so many at a time.
            ordered: yield in the order of `images`; otherwise as they are completed.
            **options: see `CaptionOptions`.

        Yields:
            One outcome an image. Failures are values and end nothing.

        Raises:
            TypeError: as `caption`.
            ValueError: `concurrency` is below 1, or `batch_size` out of range.
        """
        given(options)
        check_concurrency(concurrency)
        check_batch_size(batch_size, batches.MOST_IMAGES)

        def work(index: int, image: ImageT) -> Outcome[ImageT]:
            try:
                return Outcome(index, image, result=self.caption(image, **options))
            except CaptionboxError as error:
                return Outcome(index, image, error=error)

        def work_on(number: int, group: list[ImageT]) -> list[Outcome[ImageT]]:
            found = self.caption_batch(group, **options)
            return [replace(one, index=number * batch_size + one.index) for one in found]

        if batch_size == 1:
            return map_window(work, images, concurrency, ordered)
        groups = map_window(work_on, grouped(images, batch_size), concurrency, ordered)
        return chained(groups)

    def match(
        self, image: ImageInput, texts: Sequence[str], *, model: str | None = None
    ) -> MatchResult:
        """Rank texts by how well they fit an image.

        Args:
            image: as `caption`, but no http(s) URL.
            texts: 1 to 32.
            model: name of a served matcher; the server's own by default.

        Raises:
            NotFoundError: the server has no matcher.
            ValueError: there are no texts.
            CaptionboxError: as `caption`.
        """
        return self._send(calls.match_call(load(image), texts, model))

    def models(self) -> list[ModelInfo]:
        """Return the models that the server offers, the default first."""
        return self._send(calls.models_call())

    def server_version(self) -> str | None:
        """Return the server's version, or None where it does not tell."""
        version = self._send(calls.version_call())
        self._versions.see(version)
        return version

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._downloads:
            self._downloads.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """Where the server is; without a name and password that were given with it."""
        return self._settings.shown_url()

    def __repr__(self) -> str:
        return f"Captionbox({self.base_url!r})"

    def _send(self, call: Call[T]) -> T:
        request = call.build_with(self._http.build_request)
        tries = Tries(self._settings, self._route, self._versions)
        while True:
            try:
                response = self._http.send(request)
            except httpx.RequestError as error:
                pause = tries.failed(error, request)
            except httpx.InvalidURL as error:
                raise tries.misled(error) from error
            else:
                answer = tries.answered(response)
                if answer is None:
                    return read_answer(call, response)
                pause = answer
            time.sleep(pause)

    def _caption(self, image: Upload | Link, options: CaptionOptions) -> CaptionResult:
        """Ask for one image; fetch it first where the server does not and this client may."""
        if isinstance(image, Link) and self._downloads and self._fetches_here:
            image = self._downloads.fetch(image)
        try:
            return self._send(calls.caption_call(image, options))
        except APIStatusError as error:
            if not (isinstance(image, Link) and self._downloads and fetches_no_urls(error)):
                raise
        self._fetches_here = True
        return self._caption(image, options)

    def _carry_out(self, plan: batches.Plan, options: CaptionOptions) -> dict[int, batches.Answer]:
        reply: Any = None
        while True:
            try:
                step = plan.send(reply)
            except StopIteration as stop:
                answers: dict[int, batches.Answer] = stop.value
                return answers
            try:
                reply = self._take_step(step, options)
            except CaptionboxError as error:
                reply = error

    def _take_step(self, step: Call[Any] | Upload | Link, options: CaptionOptions) -> Any:
        if isinstance(step, Call):
            return self._send(step)
        return self._caption(step, options)


def _load_or_error(image: ImageInput) -> Upload | Link | CaptionboxError:
    try:
        return load(image)
    except CaptionboxError as error:
        return error

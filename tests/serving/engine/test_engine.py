"""The engine's batches and the gateway's way to it, with a captioner and a proxy made of air."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Self

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import BentoMLException, ServiceUnavailable
from numpy.typing import NDArray

from models.api.captioner import Captioner
from models.api.device import Precision
from models.api.metadata import BrokenModelError, ModelMetadata
from models.api.options import CaptionOptions, DecodeDefaults, OptionName
from models.api.preprocessing import PreprocessSpec
from models.api.results import Caption
from models.registry import METHODS, Method
from models.store import StoredModel
from serving.base.problems import Problem
from serving.contract import served_models
from serving.contract.messages import EngineAnswer, EngineRequest, pack
from serving.engine import captioning as engine
from serving.engine.captioning import BatchCaptioner
from serving.gateway import engine_client
from serving.gateway.engine_client import EngineClient

SPEC = PreprocessSpec(height=16, width=16)


class Echo(Captioner):
    """Captions a picture with its first pixel's value; fails on 13."""

    method: ClassVar[str] = "echo"
    honours: ClassVar[frozenset[OptionName]] = frozenset({"num_captions", "temperature", "seed"})

    def __init__(self) -> None:
        self.preprocess, self.defaults = SPEC, DecodeDefaults()
        self.batches: list[int] = []

    @classmethod
    def load(cls, directory: Path, precision: Precision = "fp32") -> Self:
        return cls()

    def caption(
        self, pixels: NDArray[np.uint8], options: CaptionOptions | Sequence[CaptionOptions]
    ) -> list[list[Caption]]:
        each = self.options_of_each(pixels, options)
        self.batches.append(len(pixels))
        values = [int(value) for value in pixels[:, 0, 0, 0]]
        if 13 in values:
            raise RuntimeError("secret")
        count = each[0].num_captions or 1
        return [
            [Caption(text=f"{value}/{n}", log_prob=-1, confidence=0.5) for n in range(count)]
            for value in values
        ]


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> BatchCaptioner:
    def find(tag: str) -> StoredModel:
        return StoredModel(tag, "v1", Path(), ModelMetadata(method="echo", preprocess=SPEC))

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the engine sets it; put it back afterwards
    monkeypatch.setitem(METHODS, "echo", Method("", Echo.honours))
    monkeypatch.setattr(served_models, "find", find)
    monkeypatch.setattr(engine.loading, "load", lambda *_: Echo())
    return BatchCaptioner(["a", "b"], threads=1)


def request(value: int, model: str = "a", **options: Any) -> EngineRequest:
    pixels = np.full((3, 16, 16), value, np.uint8)
    return EngineRequest(model=model, pixels=pack(pixels), options=CaptionOptions(**options))


def texts(answers: list[EngineAnswer]) -> list[list[str] | str]:
    return [answer.error or [found.text for found in answer.captions] for answer in answers]


def test_answers_come_in_order_whatever_the_mixture(batch: BatchCaptioner) -> None:
    requests = [
        request(1),
        request(2, num_captions=2),
        request(3, "b"),
        request(4),
        request(5, num_captions=2),
        request(6, "b"),
    ]
    assert texts(batch.caption(requests)) == [
        ["1/0"],
        ["2/0", "2/1"],
        ["3/0"],
        ["4/0"],
        ["5/0", "5/1"],
        ["6/0"],
    ]
    # Three groups of two, after one picture each to warm up.
    assert [batch._captioners[name].batches for name in "ab"] == [[1, 2, 2], [1, 2]]


def test_one_bad_picture_fails_alone(
    batch: BatchCaptioner, caplog: pytest.LogCaptureFixture
) -> None:
    answers = batch.caption([request(1), request(13), request(3)])
    assert texts(answers) == [["1/0"], "failed", ["3/0"]]
    assert "secret" in caplog.text and "secret" not in answers[1].model_dump_json()


def test_an_unsupported_option_fails_those_who_asked_for_it(batch: BatchCaptioner) -> None:
    answers = batch.caption([request(1), request(2, prompt="a"), request(3)])
    assert texts(answers) == [["1/0"], "unsupported-option", ["3/0"]]
    assert "'prompt'" in answers[1].detail


def test_seeds_do_not_split_a_batch(batch: BatchCaptioner) -> None:
    requests = [request(value, temperature=1.0, seed=value) for value in range(1, 6)]
    assert texts(batch.caption(requests)) == [[f"{value}/0"] for value in range(1, 6)]
    assert batch._captioners["a"].batches == [1, 5]


def test_a_bad_prompt_leaves_the_others_in_their_batch(batch: BatchCaptioner) -> None:
    answers = batch.caption([request(1), request(2, prompt="a"), request(3), request(4)])
    assert texts(answers) == [["1/0"], "unsupported-option", ["3/0"], ["4/0"]]
    assert batch._captioners["a"].batches == [1, 3]


def test_a_picture_of_the_wrong_size_fails_alone(batch: BatchCaptioner) -> None:
    odd = EngineRequest(model="a", pixels=b"123", options=CaptionOptions())
    assert texts(batch.caption([request(1), odd])) == [["1/0"], "failed"]


def test_a_broken_model_is_named(monkeypatch: pytest.MonkeyPatch, batch: BatchCaptioner) -> None:
    def broken(*_: object) -> Captioner:
        raise BrokenModelError("damaged")

    monkeypatch.setattr(engine.loading, "load", broken)
    with pytest.raises(BrokenModelError, match="the model a:v1: damaged"):
        BatchCaptioner(["a"], threads=1)


# --- the gateway's side -------------------------------------------------------------------------

DEAD = aiohttp.ServerDisconnectedError()


class Proxy:
    """An engine whose calls and probes go as a script says; the last entry goes on for ever."""

    def __init__(self, calls: list[Any], probes: list[bool | Exception]) -> None:
        self._calls, self._probes = calls, probes
        self.called = self.probed = 0
        self.to_async = self

    async def caption(self, requests: list[EngineRequest]) -> list[EngineAnswer]:
        self.called += 1
        result = self._calls.pop(0) if len(self._calls) > 1 else self._calls[0]
        if isinstance(result, Exception):
            raise result
        return [result for _ in requests]

    async def is_ready(self, timeout: int | None = None) -> bool:
        self.probed += 1
        result = self._probes.pop(0) if len(self._probes) > 1 else self._probes[0]
        if isinstance(result, Exception):
            raise result
        return result


def run(proxy: Proxy, body: Callable[[EngineClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        client = EngineClient(proxy)
        try:
            return await body(client)
        finally:
            await client.close()

    return asyncio.run(main())


def refusal(proxy: Proxy) -> Problem:
    with pytest.raises(Problem) as error:
        run(proxy, lambda client: client.caption(request(1)))
    return error.value


GOOD = EngineAnswer(captions=[Caption(text="x", log_prob=-1, confidence=0.5)])


def test_a_good_engine_is_asked_once() -> None:
    proxy = Proxy([GOOD], [True])
    assert run(proxy, lambda client: client.caption(request(1))) == GOOD
    assert (proxy.called, proxy.probed) == (1, 1)


def test_a_connection_lost_by_a_live_engine_is_tried_again_once() -> None:
    proxy = Proxy([DEAD, GOOD], [True])
    assert run(proxy, lambda client: client.caption(request(1))) == GOOD
    proxy = Proxy([DEAD], [True])
    assert refusal(proxy).type_slug == "engine-unavailable"
    assert proxy.called == 2


@pytest.mark.parametrize("gone", [False, ConnectionRefusedError(), DEAD, TimeoutError()])
def test_a_dead_engine_is_a_503_with_advice(gone: bool | Exception) -> None:
    proxy = Proxy([DEAD], [True, gone])
    problem = refusal(proxy)
    assert (problem.status, problem.type_slug) == (503, "engine-unavailable")
    assert int(problem.headers["Retry-After"]) > 0
    assert proxy.called == 1


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (ServiceUnavailable("process is overloaded"), "overloaded"),
        (BentoMLException("slow", error_code=HTTPStatus.GATEWAY_TIMEOUT), "timeout"),
        (TimeoutError(), "timeout"),
        (BentoMLException("secret"), "engine-unavailable"),
    ],
)
def test_what_the_engine_says_becomes_a_problem(error: Exception, slug: str) -> None:
    problem = refusal(Proxy([error], [True]))
    assert problem.type_slug == slug and "secret" not in problem.detail


def test_while_the_engine_is_gone_requests_are_refused_at_once_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_client, "_PROBE_PAUSE_SECONDS", 0.01)
    proxy = Proxy([GOOD], [False, False, False, False, True])

    async def body(client: EngineClient) -> None:
        for _ in range(5):
            with pytest.raises(Problem, match="starting or restarting"):
                await client.caption(request(1))
        assert proxy.probed <= 2, "every refused request probed for itself"
        await asyncio.sleep(0.2)
        assert await client.caption(request(1)) == GOOD

    run(proxy, body)
    assert proxy.called == 1

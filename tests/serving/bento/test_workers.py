"""How many engine processes serve where no setting says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from models.api.metadata import read
from serving.base.machine import available_cores, available_memory, limit
from serving.base.settings import Settings
from serving.bento import workers
from serving.bento.workers import NEEDED_BYTES, SMALL_BYTES, decide_workers
from tests.drawings import NAMES, caption_of, draw, encode
from tests.server import Server, install


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, float], None]:
    """Return a function that sets cores, memory and the models' size."""

    def choose(cores: int, memory_bytes: int, weights: float) -> None:
        monkeypatch.setattr(workers, "available_cores", lambda: cores)
        monkeypatch.setattr(workers, "available_memory", lambda: memory_bytes)
        monkeypatch.setattr(workers, "_weight_bytes", lambda settings: weights)

    return choose


@pytest.mark.parametrize(
    ("cores", "memory_bytes", "weights", "expected"),
    [
        (2, NEEDED_BYTES, SMALL_BYTES, 2),
        (64, NEEDED_BYTES * 100, 1.0, 2),
        (1, NEEDED_BYTES, SMALL_BYTES, 1),
        (2, NEEDED_BYTES - 1, SMALL_BYTES, 1),
        (2, NEEDED_BYTES, SMALL_BYTES + 1, 1),
        (2, NEEDED_BYTES, float("inf"), 1),
    ],
)
def test_two_where_models_are_small_and_there_is_room(
    machine: Callable[[int, int, float], None],
    cores: int,
    memory_bytes: int,
    weights: float,
    expected: int,
) -> None:
    machine(cores, memory_bytes, weights)
    assert decide_workers(Settings(engine_workers=None)).engine_workers == expected


def test_what_is_set_counts(machine: Callable[[int, int, float], None]) -> None:
    machine(4, NEEDED_BYTES, 1.0)
    assert decide_workers(Settings(engine_workers=3)).engine_workers == 3
    assert decide_workers(Settings(engine_workers=1)).engine_workers == 1
    # As many threads as there are cores leave none for a second process.
    assert decide_workers(Settings(engine_workers=None, threads=2)).engine_workers == 2
    assert decide_workers(Settings(engine_workers=None, threads=4)).engine_workers == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "2147483648\n"}, 2**31),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "1073741824\n"}, 2**30),
        ({}, None),
    ],
)
def test_a_containers_memory_limit_counts(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert limit(tmp_path, tmp_path / "no-membership") == expected
    assert available_memory() > 0


@pytest.mark.long
@pytest.mark.skipif(available_cores() < 2, reason="two processes need two cores")
@pytest.mark.skipif(available_memory() < NEEDED_BYTES, reason="too little memory here")
def test_a_server_decides_by_its_models(
    bentoml_home: Path,
    tiny_model: Path,
    tmp_path: Path,
    start_server: Callable[..., Server],
) -> None:
    server = start_server(bentoml_home, engine_workers="")
    assert len(server.workers("captionbox-engine")) == 2
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for name in NAMES * 2:
            answer = client.post("/caption", files={"image": encode(draw(name))})
            assert answer.json()["captions"][0]["text"] == caption_of(name)

    # The same model with a file beside it that makes it a large one.
    large = shutil.copytree(tiny_model, tmp_path / "large")
    with (large / "more.safetensors").open("wb") as file:
        file.truncate(SMALL_BYTES + 1)
    assert read(large) == read(tiny_model)
    home = tmp_path / "home"
    home.mkdir()
    install(home, large)
    alone = start_server(home, engine_workers="")
    assert len(alone.workers("captionbox-engine")) == 1

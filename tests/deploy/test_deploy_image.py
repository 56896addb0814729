"""The parts that make the container image. `make test-deploy` builds a real one."""

from __future__ import annotations

import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from deploy import healthcheck, image, stand_in, torch_wheels, trim
from deploy.healthcheck import FORCE_AFTER, HUNG_AFTER, NEVER_READY_AFTER, State
from deploy.image import Contents, ImageError
from models.api.metadata import read
from models.store import StoredModel
from serving.bento.framework import BASE_IMAGE, IMAGE
from tests.server import Server


def test_an_image_installs_torch_for_cpu() -> None:
    lock = image.LOCK.read_text()
    lines = image.cpu_requirements(lock).splitlines()
    assert [line for line in lines if line.startswith("torch==")] == [
        f"torch=={image.pinned_version(image.LOCK)}+cpu"
    ]
    assert len(lines) == len(lock.splitlines())


def test_a_lock_without_torch_is_refused() -> None:
    with pytest.raises(ImageError, match="no line torch"):
        image.cpu_requirements("numpy==2.0\n")


def test_an_image_of_graphs_has_no_torch(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openvino is in every image; torch where something needs it."""
    plain = StoredModel("plain", "1", tiny_model, read(tiny_model))
    graphs = StoredModel("graphs", "1", tmp_path, read(tiny_model))
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "graphs.json").write_text("{}")
    monkeypatch.setattr(image.store, "find", {"plain": plain, "graphs": graphs}.__getitem__)
    lock = image.LOCK.read_text()
    for contents in (Contents(("graphs", "plain")), Contents(("graphs",), "bridge")):
        assert image.requirements(contents, lock) == image.cpu_requirements(lock)
    found = image.requirements(Contents(("graphs",)), lock).splitlines()
    names = {line.partition("==")[0] for line in found}
    assert {"openvino", "tokenizers", "bentoml", "numpy"} <= names
    assert not names & {"torch", "transformers", "sympy"}
    assert len(found) == len(lock.splitlines()) - 6


def test_an_image_packs_the_models_asked_for() -> None:
    content = image.bentofile(Contents(("vit-gpt2", "compact:1"), "bridge"), "r.txt", {"A": "b"})
    assert content["models"] == [
        {"tag": "vit-gpt2:latest", "alias": "vit-gpt2"},
        {"tag": "compact:1", "alias": "compact"},
        {"tag": "bridge:latest", "alias": "bridge"},
    ]
    assert content["python"] == {"requirements_txt": "r.txt", "lock_packages": False}
    assert content["envs"] == [{"name": "A", "value": "b"}]
    assert content["include"]


def test_a_tag_names_the_version_and_other_models() -> None:
    plain = image.default_tag(Contents(("compact",)))
    assert plain.startswith(f"captionbox:{image.__version__}")
    assert image.default_tag(Contents(("vit-gpt2:1",), "bridge")) == f"{plain}-vit-gpt2.1-bridge"


def test_bentoml_is_not_to_install_a_compiler() -> None:
    assert IMAGE.base_image == BASE_IMAGE and IMAGE.commands == []


def test_a_library_without_its_symbols_still_loads(tmp_path: Path) -> None:
    source, library = tmp_path / "one.c", tmp_path / "one.so"
    source.write_text("static int two(void) { return 2; } int four(void) { return two() + two(); }")
    compiler = sysconfig.get_config_var("CC").split()[0]
    subprocess.run([compiler, "-shared", "-fPIC", "-g", "-o", library, source], check=True)
    size = library.stat().st_size
    freed = trim.strip(library)
    assert 0 < freed == size - library.stat().st_size
    assert trim.strip(library) == 0  # nothing is left to cut
    code = f"import ctypes; print(ctypes.CDLL({str(library)!r}).four())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "4"
    assert trim.strip(source) == 0


def test_trimming_leaves_what_is_imported(tmp_path: Path) -> None:
    names = (
        "torch/include/a.hpp",
        "torch/bin/protoc",
        "torch/bin/torch_shm_manager",
        "numpy/tests/test_a.py",
        "numpy/testing/a.py",
        "numpy/core/a.py",
        "numpy/core/a.pyi",
        "numpy/core/__pycache__/a.pyc",
    )
    packages = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    for name in names:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    model = tmp_path / "bento" / "models"
    model.mkdir(parents=True, mode=0o700)
    command = [sys.executable, trim.__file__, tmp_path / "venv", tmp_path / "bento"]
    subprocess.run(command, check=True)
    left = {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()}
    assert left == {"torch/bin/torch_shm_manager", "numpy/testing/a.py", "numpy/core/a.py"}
    assert model.stat().st_mode & 0o777 == 0o755


# --- healthcheck ----------------------------------------------------------------------------------


def verdicts(state: State, answers: str) -> list[signal.Signals | None]:
    """Return what follows from a row of answers, `+` for ready."""
    return [state.note(answer == "+") for answer in answers]


def test_a_server_that_has_hung_is_asked_to_stop_then_forced() -> None:
    found = verdicts(State(), "+" + "-" * (HUNG_AFTER + FORCE_AFTER))
    assert found.index(signal.SIGTERM) == HUNG_AFTER
    assert found.index(signal.SIGKILL) == HUNG_AFTER + FORCE_AFTER
    assert found.count(None) == len(found) - 2


def test_a_server_that_recovers_is_left_alone() -> None:
    assert set(verdicts(State(), "+" + ("-" * (HUNG_AFTER - 1) + "+") * 5)) == {None}


def test_a_server_gets_longer_to_start() -> None:
    found = verdicts(State(), "-" * NEVER_READY_AFTER)
    assert found == [None] * (NEVER_READY_AFTER - 1) + [signal.SIGTERM]


def test_the_count_outlives_the_check(tmp_path: Path) -> None:
    file = tmp_path / "state"
    assert State.read(file) == State()
    State(3, True).write(file)
    assert State.read(file) == State(3, True)
    file.write_text("nonsense")
    assert State.read(file) == State()
    State(4).write(tmp_path)  # cannot be written: nobody's fault


def test_the_check_asks_the_server(server: Server) -> None:
    assert healthcheck.is_ready(server.port)
    assert not healthcheck.is_ready(1)


# --- where things come from -----------------------------------------------------------------------


def test_a_wheel_that_pip_would_find_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch-9.9+cpu-cp311.whl").write_text("wheel")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert torch_wheels.local_wheels("9.9") == tmp_path
    assert torch_wheels.local_wheels("9.8") is None


def test_a_stand_in_names_no_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "debian.sources"
    source.write_text("Types: deb\n")
    monkeypatch.setattr(stand_in, "SOURCES", (tmp_path / "absent", source))
    recipe = stand_in.RECIPES[BASE_IMAGE]
    command = stand_in.bootstrap_command(recipe, tmp_path / "root.tar")
    assert command[-3:] == ["", str(tmp_path / "root.tar"), str(source)]
    assert "--include=ca-certificates,python3,python3-pip" in command
    assert "http" not in Path(stand_in.__file__).read_text()


def test_there_is_no_stand_in_for_just_anything() -> None:
    with pytest.raises(stand_in.StandInError, match="neither be pulled nor made"):
        stand_in.make("postgres:99")

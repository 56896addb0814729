"""`bentoml build` makes a Bento with its model pinned; it serves anywhere, whatever comes later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from tests.drawings import caption_of, draw, encode
from tests.server import Server, bentoml, install


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a Bento in a store of its own and return it as a file, model included."""
    home = tmp_path_factory.mktemp("build")
    install(home, tiny_model)
    bentoml(home, "build")
    file = tmp_path_factory.mktemp("export") / "captionbox.bento"
    bentoml(home, "export", "captionbox:latest", str(file))
    return file


@pytest.fixture(scope="module")
def home(exported: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an otherwise empty store with the Bento in it, and a newer model beside it."""
    home = tmp_path_factory.mktemp("elsewhere")
    bentoml(home, "import", str(exported), cwd=home)
    install(home, tiny_model, version="newer")
    return home


def test_the_bento_holds_what_it_needs_and_nothing_else(home: Path) -> None:
    (bento,) = (path for path in (home / "bentos" / "captionbox").iterdir() if path.is_dir())
    manifest = yaml.safe_load((bento / "bento.yaml").read_text())
    assert [(model["tag"], model["alias"]) for model in manifest["models"]] == [
        ("compact:test", "compact")
    ]
    files = {str(path.relative_to(bento / "src")) for path in (bento / "src").rglob("*")}
    top = {name.split("/")[0] for name in files}
    assert top == {"service.py", "models", "serving", "web", "bentofile.yaml"}
    assert not [name for name in files if name.endswith((".safetensors", ".pyc", ".env"))]
    assert "web/index.html" in files
    requirements = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "bentoml==1.4.39" in requirements and "torch==" in requirements


def test_the_bento_says_what_it_needs_and_not_how_many_workers_the_builder_had(home: Path) -> None:
    (bento,) = (path for path in (home / "bentos" / "captionbox").iterdir() if path.is_dir())
    manifest = yaml.safe_load((bento / "bento.yaml").read_text())
    configurations = {one["name"]: one["config"] for one in manifest["services"]}
    assert set(configurations) == {"captionbox", "captionbox-engine"}
    for configuration in configurations.values():
        assert configuration["resources"] == {"cpu": "1", "memory": "1Gi"}
        assert "workers" not in configuration


def test_the_bento_serves_the_model_it_was_built_with(
    home: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server(home, what="captionbox:latest", cwd=home, engine_workers="2")
    # Counted by the machine that serves: the one that built was told to have one.
    assert len(server.workers("captionbox-engine")) == 2
    assert len(server.workers("captionbox")) == 1
    with httpx.Client(base_url=server.url, timeout=30) as client:
        response = client.post("/caption", files={"image": encode(draw("blue cross"))})
        assert response.json()["captions"][0]["text"] == caption_of("blue cross")
        assert response.json()["model"]["version"] == "test"
        assert "Captionbox" in client.get("/", headers={"Accept": "text/html"}).text
    server.stop()

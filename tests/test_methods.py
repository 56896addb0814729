"""Methods in docs/models.md: every command runs, on tiny checkpoints, and leads to captions.

The hub is the stand-in of `tests.hub`; training takes two steps on drawn shapes.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from models.registry import METHODS
from tests.asking import PICTURE
from tests.checkpoints import write_vit_gpt2
from tests.hub import Repository, running
from tests.matchers import make_hub_bridgetower
from tests.models.captioners.vlm.families import MAKERS
from tests.server import ROOT, Server, environment
from tests.training.conftest import TINY, write_shapes

PAGE = ROOT / "docs/models.md"
_ROW = re.compile(r"^\| \[`([a-z0-9-]+)`\]\((\S+)\) \|[^|]*\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
TABLE = {
    name: (Path(file), re.findall(r"`([^`]+)`", bring), serve.strip().strip("`"))
    for name, file, bring, serve in _ROW.findall(PAGE.read_text(encoding="utf-8"))
}
"""Method name to its file, the commands that bring it, and the command that serves it."""

MAKE: dict[str, Callable[[Path], object]] = {
    "nlpconnect/vit-gpt2-image-captioning": write_vit_gpt2,
    "Salesforce/blip-image-captioning-base": MAKERS["blip"],
    "BridgeTower/bridgetower-base-itm-mlm": make_hub_bridgetower,
}
"""What stands in for the hub's models."""

# One process for all: each command's own start costs seconds.
_RUN = """
import importlib, json, sys
for module, arguments in json.loads(sys.argv[1]):
    print("+", module, *arguments, file=sys.stderr, flush=True)
    if importlib.import_module(module).main(arguments):
        sys.exit(1)
"""


def test_every_method_has_its_row() -> None:
    assert set(TABLE) == set(METHODS)
    for file, bring, serve in TABLE.values():
        assert (PAGE.parent / file).is_file()
        assert bring
        assert serve.endswith("make serve")


def commands(folder: Path) -> list[tuple[str, list[str]]]:
    """Return the table's commands as modules and arguments, with small data and two steps."""
    data = write_shapes(folder / "shapes")
    out = []
    for name, (_, bring, _) in TABLE.items():
        for command in bring:
            python, flag, module, *arguments = shlex.split(command)
            assert (python, flag) == ("python", "-m")
            places = {"DIR": str(data), "RUN": str(folder / f"run-{name}")}
            arguments = [places.get(argument, argument) for argument in arguments]
            if module == "training.train":
                sets = [part for override in TINY for part in ("--set", override)]
                arguments += ["--max-steps", "2", *sets]
            out.append(("models.__main__" if module == "models" else module, arguments))
    return out


def names(variable: str) -> list[str]:
    """Return what the table's serving commands set a variable to."""
    found = [re.fullmatch(rf"{variable}=(\S+) make serve", row[2]) for row in TABLE.values()]
    return [match[1] for match in found if match]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Server]) -> Server:
    """Return a server of everything that the table's commands have brought into a store."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("methods")
    with running() as hub:
        for name, make in MAKE.items():
            checkpoint = folder / name.replace("/", "--")
            checkpoint.mkdir()
            make(checkpoint)
            hub.repositories[name] = Repository(checkpoint)
        done = subprocess.run(
            [sys.executable, "-c", _RUN, json.dumps(commands(folder))],
            cwd=ROOT,
            env={**environment(home), "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf")},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    models = ",".join(["compact", *names("CAPTIONBOX_MODELS")])
    return start_server(home, models=models, matcher=",".join(names("CAPTIONBOX_MATCHER")))


def test_what_the_commands_bring_is_served(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        listed = client.get("/v1/models").json()["data"]
        assert {model["method"] for model in listed} == set(METHODS)
        for model in listed:
            if model["kind"] == "captioner":
                response = client.post(
                    "/caption", files={"image": PICTURE}, data={"model": model["id"]}
                )
                assert response.status_code == 200, response.text
                assert response.json()["model"]["method"] == model["method"]
                assert response.json()["captions"]
        response = client.post(
            "/match", files={"image": PICTURE}, data={"texts": ["a red ring", "a dog"]}
        )
        assert response.status_code == 200, response.text
        assert len(response.json()["matches"]) == 2

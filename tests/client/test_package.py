"""The package as it is installed: what it needs, what it brings, how fast it is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from captionbox import __version__

from tests.client.conftest import CLIENT, SOURCE
from tests.client.stand_in import StandIn
from tests.client.test_readme import INSTALLING

PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
FORBIDDEN = ("torch", "bentoml", "transformers", "numpy", "PIL", "models", "serving", "training")


def python(program: str, *options: str, executable: str | Path = sys.executable) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    if str(executable) == sys.executable:
        environment["PYTHONPATH"] = str(SOURCE)
    done = subprocess.run(
        [executable, *options, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_dependencies_are_four_each_with_its_reason() -> None:
    names = [re.split(r"[<>=~!]", one)[0] for one in PROJECT["dependencies"]]
    assert names == ["httpx", "pydantic", "typer", "rich"]
    text = (CLIENT / "pyproject.toml").read_text()
    for name in names:
        assert re.search(rf'^    "{name}[^"]*",\s*# \w', text, re.MULTILINE)


def test_nothing_of_the_server_is_imported() -> None:
    """Not even where everything is imported that there is."""
    program = (
        "import importlib, pkgutil, sys, captionbox\n"
        "for one in pkgutil.walk_packages(captionbox.__path__, 'captionbox.'):\n"
        "    one.name.endswith('__main__') or importlib.import_module(one.name)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    assert not set(FORBIDDEN) & set(python(program).split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, captionbox; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in python(program).split()}
    assert not loaded & {"httpx", "pydantic", "typer", "rich", "asyncio", "ssl"}


def test_the_command_starts_with_typer_alone() -> None:
    loaded = set(python("import sys, captionbox.cli.app; print(*sys.modules)").split())
    assert not {name.partition(".")[0] for name in loaded} & {"httpx", "pydantic", "ssl"}


def test_every_public_name_is_there() -> None:
    program = (
        "import captionbox\n"
        "assert set(captionbox.__all__) <= set(dir(captionbox))\n"
        "for name in captionbox.__all__: assert getattr(captionbox, name) is not None, name\n"
        "try: captionbox.nothing\n"
        "except AttributeError: pass\n"
        "else: raise SystemExit('no AttributeError')\n"
    )
    python(program)


def test_type_checkers_see_every_public_name() -> None:
    text = (SOURCE / "captionbox" / "__init__.py").read_text()
    block = text[text.index("if TYPE_CHECKING:") : text.index("__all__")]
    from captionbox import __all__ as public

    for name in public:
        assert name == "__version__" or re.search(rf"\b{name}\b", block), name
    assert (SOURCE / "captionbox" / "py.typed").exists()


def test_files_are_short() -> None:
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text().splitlines()) < 300, path


def milliseconds(executable: str | Path, statement: str) -> float:
    """Return how long the best of five imports took, as `-X importtime` tells."""
    times = []
    for _ in range(5):
        lines = python(statement, "-X", "importtime", executable=executable).splitlines()
        module = statement.split()[1]
        total = next(line for line in lines if line.split("|")[-1].strip() == module)
        times.append(int(total.split("|")[1]) / 1000)
    return min(times)


@pytest.mark.long
def test_the_wheel_in_an_empty_environment(tmp_path: Path, stand_in: StandIn) -> None:
    """Install as the README says; look at what came, how fast it is, and caption a picture."""
    shutil.copytree(CLIENT, tmp_path / "client")
    assert INSTALLING == ["pip install ./client\n"]
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environment | {"CAPTIONBOX_BASE_URL": stand_in.url},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        if re.search("NewConnectionError|name resolution", done.stderr):
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # pip makes a wheel of it and installs that.
    run(INSTALLING[0])
    listing = "import importlib.metadata as m; print(*m.files('captionbox'))"
    inside = python(listing, executable=programs / "python").split()
    assert {"captionbox/py.typed", "captionbox/cli/app.py"} <= set(inside)
    folders = {name.split("/")[0] for name in inside if not name.startswith("..")}
    assert folders == {"captionbox", f"captionbox-{__version__}.dist-info"}
    installed = {one["name"].lower() for one in json.loads(run("pip list --format json"))}
    assert installed & {"torch", "bentoml", "numpy", "transformers", "pillow"} == set()
    assert {"captionbox", "httpx", "pydantic", "typer", "rich"} <= installed
    assert len(installed) <= 25, sorted(installed)

    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    assert "A picture called" in run("captionbox caption photo.jpg")
    assert __version__ in run("captionbox --version")
    # Against Python itself, with what it needs for any HTTP client: machines differ in speed.
    bare = milliseconds(programs / "python", "import asyncio")
    told = {
        statement: milliseconds(programs / "python", statement) / bare
        for statement in (
            "import captionbox",
            "import captionbox.client",
            "import captionbox.cli.app",
        )
    }
    print(bare, told)
    assert told["import captionbox"] < 0.75
    assert told["import captionbox.client"] < 12
    assert told["import captionbox.cli.app"] < 5

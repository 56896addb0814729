"""Fixtures: a laptop's engine with the image, a bare server, and who ships from one to other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from serving.base.keys import make_entry
from tests.deploy.engine import Engine
from tests.deploy.programs import missing, run
from tests.deploy.vps import THERE, Vps
from tests.server import ROOT

KEY = "captionbox-0123456789abcdefghijklmnopqrstuv"
FIRST = "captionbox:test-1"

_found: list[str] = []


@pytest.fixture(scope="session")
def tell() -> Iterator[object]:
    """Return a function whose lines are shown at the end of the run."""
    return _found.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    if _found:
        terminalreporter.section("deployment, measured")
        for line in _found:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder for everything, removed at the end."""
    lacking = missing()
    assert os.geteuid() == 0 and not lacking, f"needs root, and these programs: {lacking}"
    place = tmp_path_factory.mktemp("deploy")
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def laptop(place: Path) -> Iterator[Engine]:
    """Return the engine that builds. `CAPTIONBOX_DEPLOY_CACHE` names a folder that it may keep."""
    cache = os.environ.get("CAPTIONBOX_DEPLOY_CACHE")
    folder = Path(cache) if cache else place / "laptop"
    # It needs no network but the machine's, and leaves that alone.
    alone = ("--bridge=none", "--iptables=false", "--ip-forward=false")
    engine = Engine(folder, (), *alone, keep=cache is not None)
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def image(laptop: Engine, place: Path) -> str:
    """Build the image as `make image` does; return its name."""
    env = {**laptop.environment, "BENTOML_HOME": str(place / "bentoml"), "TMPDIR": str(place)}
    (place / "bentoml").mkdir()
    python = sys.executable
    run(python, "-m", "models", "install-default", cwd=ROOT, env=env)
    run(python, "-m", "deploy.image", "--tag", FIRST, cwd=ROOT, env=env, seconds=1500)
    return FIRST


@pytest.fixture(scope="session")
def vps(place: Path) -> Iterator[Vps]:
    """Return a bare server."""
    vps = Vps(place / "vps")
    yield vps
    vps.stop()


@dataclass
class Shipping:
    """Someone at the laptop who ships.

    Attributes:
        tree: a copy of the project's files.
        laptop: its engine.
        vps: where it ships to.
    """

    tree: Path
    laptop: Engine
    vps: Vps

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start `ship.sh`."""
        return subprocess.Popen(
            [self.tree / "deploy" / "ship.sh", "root@vps", *arguments],
            cwd=self.tree,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={
                **self.laptop.environment,
                "PYTHON": sys.executable,
                "SSH_OPTIONS": f"-F {self.vps.ssh_config}",
                **settings,
            },
        )

    def ship(self, *arguments: str, seconds: float = 600) -> str:
        """Run `ship.sh` and return what it printed; fails if it does."""
        code, output = self.try_to_ship(*arguments, seconds=seconds)
        assert code == 0, output
        return output

    def try_to_ship(self, *arguments: str, seconds: float = 600) -> tuple[int, str]:
        """Run `ship.sh` and return its exit code and what it printed."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=seconds)
        finally:
            process.kill()
        return process.returncode, output

    def variant(self, name: str, *lines: str) -> str:
        """Make another version of the image; return its name."""
        text = "\n".join((f"FROM {FIRST}", f"LABEL variant={name}", *lines))
        folder = self.tree / "variant"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(text)
        self.laptop.docker("build", "-q", "-t", f"captionbox:{name}", str(folder))
        return f"captionbox:{name}"

    def server(self) -> dict[str, str]:
        """Return colour, container and image of the server that is active."""
        status = self.vps.run("/opt/captionbox/update.sh", "--status")
        (line,) = (line for line in status.splitlines() if line.endswith(" active"))
        colour, image, state, _ = line.split()
        label = f"label=com.docker.compose.service={colour}"
        container = self.vps.docker("ps", "-aq", "--filter", label)
        return {"colour": colour, "image": image, "state": state, "container": container}

    @contextmanager
    def load(self, clients: int = 3) -> Iterator[dict[str, object]]:
        """Have clients ask all the while; afterwards the value has what came of it."""
        stop, result = self.tree / "stop", dict[str, object]()
        stop.unlink(missing_ok=True)
        command = [*self.vps.enter_network, sys.executable, "-m", "tests.deploy.load"]
        # From the server itself, over its loopback.
        command += ["https://127.0.0.1", KEY, str(clients), str(stop)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            yield result
        finally:
            stop.touch()
            output, _ = process.communicate(timeout=200)
        result.update(json.loads(output))


@pytest.fixture(scope="session")
def shipping(place: Path, laptop: Engine, vps: Vps, image: str) -> Shipping:
    """Return the laptop with everything ready to ship, but nothing shipped."""
    tree = place / "tree"
    shutil.copytree(ROOT / "deploy", tree / "deploy")
    for name in ("serving", "models"):
        (tree / name).symlink_to(ROOT / name)
    (tree / "deploy" / "secrets").mkdir(exist_ok=True)
    (tree / "deploy" / "secrets" / "api_keys").write_text(make_entry("test", KEY) + "\n")
    # The machine that runs the tests may be busy with others: threads would wait for each other.
    settings = "CAPTIONBOX_MAX_LATENCY_MS=50000\nCAPTIONBOX_THREADS=1\n"
    (tree / "deploy" / "captionbox.env").write_text(settings)
    return Shipping(tree, laptop, vps)


@pytest.fixture(scope="session")
def shipped(shipping: Shipping, image: str) -> Shipping:
    """Return it with the first version serving."""
    shipping.ship("--image", image)
    return shipping


@pytest.fixture
def web(shipped: Shipping) -> Iterator[httpx.Client]:
    """Return a client at the laptop, who has a key."""
    with httpx.Client(
        base_url=f"https://{THERE}", verify=False, timeout=90, headers={"X-API-Key": KEY}
    ) as client:
        yield client

"""A real `bentoml serve` process for tests: start it, look into it, stop it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 240.0

_INSTALL = """
import sys
from pathlib import Path
from models import store
store.install(Path(sys.argv[1]), sys.argv[2], version=sys.argv[3])
"""


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Return the environment for a BentoML process with a store of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CAPTIONBOX_", "BENTOML_"))}
    return {
        **env,
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
        "CAPTIONBOX_THREADS": "1",
        "CAPTIONBOX_ENGINE_WORKERS": "1",
        **{f"CAPTIONBOX_{name.upper()}": value for name, value in settings.items()},
    }


def install(home: Path, directory: Path, name: str = "compact", version: str = "test") -> None:
    """Put a model directory into the store of `home`."""
    subprocess.run(
        [sys.executable, "-c", _INSTALL, str(directory), name, version],
        cwd=ROOT,
        env=environment(home),
        check=True,
        capture_output=True,
        timeout=120,
    )


def bentoml(home: Path, *arguments: str, cwd: Path = ROOT, **settings: str) -> str:
    """Run a `bentoml` command to its end and return all it printed; fails if the command does."""
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments],
        cwd=cwd,
        env=environment(home, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server.

    Attributes:
        home: its BENTOML_HOME.
        log: where its output goes.
        what: the service or Bento that it serves.
        cwd: the directory it runs in.
        settings: `CAPTIONBOX_` variables, by their names in small letters.
        variables: further environment variables.
        prefix: what is put before the command.
    """

    home: Path
    log: Path
    what: str = "service:Captioner"
    cwd: Path = ROOT
    settings: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    prefix: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    started_in: float = 0.0

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process of the server; its workers are below it."""
        return self._process.pid

    def start(self) -> None:
        """Start and wait until `/readyz` says yes."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            where = ("--host", self.host, "--port", str(self.port))
            self._process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "bentoml", "serve", self.what, *where],
                cwd=self.cwd,
                env=environment(self._own_home(), **self.settings) | self.variables,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_ready(START_SECONDS)
        self.started_in = time.monotonic() - began

    def _own_home(self) -> Path:
        """Return a BENTOML_HOME with the same store, but metrics of its own.

        Whenever a server starts, BentoML empties the folder of metrics in its home: under the feet
        of another one that runs there.
        """
        own = self.log.with_suffix(".home")
        own.mkdir(exist_ok=True)
        for entry in self.home.iterdir():
            link = own / entry.name
            if entry.name != "prometheus_multiproc_dir" and not link.exists():
                link.symlink_to(entry)
        return own

    def wait_ready(self, seconds: float) -> float:
        """Wait for `/readyz`; return the seconds it took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.tail()}")
            if self.ready():
                return time.monotonic() - began
            time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s:\n{self.tail()}")

    def ready(self) -> bool:
        """Whether `/readyz` says yes now."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def workers(self, service: str) -> list[psutil.Process]:
        """Return the worker processes of a service, by its name."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        found = []
        for child in children:
            try:
                line = child.cmdline()
            except psutil.Error:
                continue
            if "--service-name" in line and line[line.index("--service-name") + 1] == service:
                found.append(child)
        return found

    def tail(self, characters: int = 6000) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-characters:]

    def terminate(self) -> None:
        """Ask the server to end."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Wait for its end; return its exit code."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """End the server and everything it started."""
        process = getattr(self, "_process", None)
        if process is None:
            return
        children = psutil.Process(process.pid).children(recursive=True) if self._alive() else []
        self.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        for child in children:
            if child.is_running():
                child.kill()

    def _alive(self) -> bool:
        return self._process.poll() is None

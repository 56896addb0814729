"""A container engine of the tests' own: Debian's dockerd with everything in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.deploy.programs import PATH, run, wait_until


class Engine:
    """A running dockerd.

    Args:
        folder: for its data, sockets and log.
        prefix: command that starts a program where the engine is to run.
        options: more of dockerd's.
        keep: leave the data when it ends.
    """

    def __init__(
        self, folder: Path, prefix: tuple[str, ...] = (), *options: str, keep: bool = False
    ) -> None:
        self.folder, self._keep = folder, keep
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "docker.sock"
        self.log = folder / "log"
        places = (
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={folder / 'pid'}",
            f"--host=unix://{self.socket}",
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, "dockerd", *places, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": PATH},
            )
        wait_until(self._answers, 60)

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which `docker` talks to this engine."""
        return {**os.environ, "PATH": PATH, "DOCKER_HOST": f"unix://{self.socket}"}

    def docker(self, *arguments: str, seconds: float = 120) -> str:
        """Run a docker command and return what it printed."""
        return run("docker", *arguments, seconds=seconds, env=self.environment).strip()

    def stop(self) -> None:
        """End all containers and the engine, and remove its data."""
        if self._answers():
            containers = self.docker("ps", "-aq").split()
            if containers:
                self.docker("rm", "-f", *containers)
        self._process.terminate()
        self._process.wait(60)
        for mount in sorted(_mounts_below(self.folder), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert getattr(self, "_process", None) is None or self._process.poll() is None, (
            f"dockerd ended:\n{self.log.read_text()[-3000:]}"
        )
        done = subprocess.run(
            ["docker", "version"], capture_output=True, env=self.environment, check=False
        )
        return done.returncode == 0


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{folder}/")]

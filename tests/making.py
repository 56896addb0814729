"""A server as `make serve` starts it, in the environment that the tests run in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.server import ROOT, Server, environment


@dataclass
class MadeServer(Server):
    """A server that `make serve` starts, the models that it serves included.

    Attributes:
        made_with: further arguments of `make`.
    """

    made_with: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start, and wait until it is ready."""
        venv = Path(sys.prefix)
        # What these tests run in is installed, whatever it is called.
        command = ["make", "serve", f"VENV={venv}", f"--old-file={venv}/.serve"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, f"PORT={self.port}", *self.made_with],
                cwd=ROOT,
                env=environment(self.home, **self.settings) | self.variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_ready(180)

    def stop(self) -> None:
        """Interrupt it as Ctrl-C does, and see that it ends."""
        process = getattr(self, "_process", None)
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise

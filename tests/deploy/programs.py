"""Programs that the deployment's tests start: each ended by its own process id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

# Debian's docker comes with BuildKit; one that lies elsewhere may not.
PATH = f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ['PATH']}"
NEEDED = ("dockerd", "docker", "mmdebstrap", "nginx", "rsync", "sshd", "zstd", "ip", "openssl")


def missing() -> list[str]:
    """Return the programs that are needed and not there."""
    return [name for name in NEEDED if shutil.which(name, path=PATH) is None]


def run(*command: str | Path, seconds: float = 120, **options: object) -> str:
    """Run a command to its end; return what it printed. Fails, showing it, if the command does."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
        **{"env": {**os.environ, "PATH": PATH}, **options},  # type: ignore[arg-type]
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout[-6000:]}"
    return str(done.stdout)


def end_by_pid_file(file: Path, seconds: float = 30) -> None:
    """End the process whose number is in a file, if it runs."""
    try:
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), seconds)


def wait_until(holds: Callable[[], bool], seconds: float, pause: float = 0.2) -> float:
    """Wait until something holds; return the seconds it took, or fail."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s"
        time.sleep(pause)
    return time.monotonic() - began

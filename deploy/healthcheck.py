"""The container's healthcheck: asks `/readyz`, and ends a server that has hung.

Docker marks a container unhealthy but does nothing about it. So this counts failures, and when
there have been too many in a row it stops the server: asking first, by force if that does not help.
The restart policy then starts the container again. Run the container with `--init`: a process with
number 1 cannot be ended by force from inside. With `--ask` it only asks: for scripts that wait.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

ASK_SECONDS = 6
"""Less than the time that the image gives this command."""

HUNG_AFTER = 6
"""Failures in a row, ten seconds apart, after which a server that has been ready is stopped."""

NEVER_READY_AFTER = 60
"""The same for one that has not been ready yet: it loads its models."""

FORCE_AFTER = 5
"""Failures after the server has been asked to stop, then it is ended by force. Longer than it may
take to finish what is in progress."""

STATE = Path("/tmp/captionbox-health")  # the container's own, empty at its start


@dataclass
class State:
    """What is known from earlier checks.

    Attributes:
        failures: in a row, so far.
        was_ready: whether the server has ever been ready.
    """

    failures: int = 0
    was_ready: bool = False

    @classmethod
    def read(cls, path: Path) -> State:
        """Return what an earlier check has written; nothing if there was none."""
        try:
            failures, was_ready = path.read_text(encoding="ascii").split()
            return cls(int(failures), was_ready == "True")
        except (OSError, ValueError):
            return cls()

    def write(self, path: Path) -> None:
        """Leave this for the next check."""
        # Without room for it no failure is counted; that there is no room must not end a server.
        with contextlib.suppress(OSError):
            path.write_text(f"{self.failures} {self.was_ready}", encoding="ascii")

    def note(self, ready: bool) -> signal.Signals | None:
        """Count one more answer; return the signal that the server is to get, if any."""
        if ready:
            self.failures, self.was_ready = 0, True
            return None
        self.failures += 1
        too_many = HUNG_AFTER if self.was_ready else NEVER_READY_AFTER
        if self.failures == too_many:
            return signal.SIGTERM
        return signal.SIGKILL if self.failures >= too_many + FORCE_AFTER else None


def is_ready(port: int) -> bool:
    """Return whether the server on this machine answers `/readyz` with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def end_server(how: signal.Signals) -> None:
    """Stop the server, which gets the signals of process 1; by force, stop every process."""
    # -1 is all processes that we may signal, but for number 1 and this one.
    os.kill(-1 if how is signal.SIGKILL else 1, how)


def main() -> int:
    """Return 0 if the server is ready, else 1."""
    ready = is_ready(int(os.environ.get("BENTOML_PORT", "3000")))
    if sys.argv[1:] == ["--ask"]:
        return 0 if ready else 1
    state = State.read(STATE)
    verdict = state.note(ready)
    state.write(STATE)
    if verdict is not None:
        sys.stdout.write(f"not ready {state.failures} times in a row: {verdict.name}\n")
        end_server(verdict)
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main())

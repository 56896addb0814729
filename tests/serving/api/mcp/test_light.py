"""The protocol's package is loaded by the first request to it, not by every process."""

from __future__ import annotations

import subprocess
import sys

from tests.server import ROOT


def test_the_server_starts_without_the_package() -> None:
    program = "import sys, serving.app; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"mcp", "mcp_types", "cryptography"} & set(done.stdout.split())

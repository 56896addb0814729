"""Resolve pyproject.toml's dependencies into the lock files.

    make lock

`requirements-serve.lock` is what a Bento and its container hold, `requirements.lock` adds
training (`make serve`), `requirements-dev.lock` adds tests, linters, Ray and OpenVINO (`make
test`). Each is the `pip freeze` of a fresh virtual environment. `requirements-tracing.lock` is what
the extra `tracing` adds to the first, and so are `requirements-ray.lock` and
`requirements-openvino.lock`. Run it where torch is the CPU build, so that no CUDA package is
locked.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Installed by every virtual environment itself.
_SKIPPED = re.compile(r"^(pip|setuptools|wheel)==")

logger = logging.getLogger("lock")


def freeze(python: Path) -> list[str]:
    """Return the environment's pinned packages, build tags (`+cpu`) removed."""
    done = subprocess.run(
        [python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    )
    return [
        re.sub(r"\+[\w.]+$", "", line)
        for line in done.stdout.splitlines()
        if line and not _SKIPPED.match(line)
    ]


def added(python: Path, wanted: list[str]) -> list[str]:
    """Return what installing `wanted` would add to the environment of the server, pinned."""
    dry: tuple[str | Path, ...] = (
        python,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--report",
        "-",
    )
    command = (*dry, "--constraint", ROOT / "requirements-serve.lock", *wanted)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [part["metadata"] for part in json.loads(done.stdout)["install"]]
    return sorted(f"{part['name']}=={part['version']}" for part in found)


def write(name: str, lines: list[str]) -> None:
    """Write one lock file."""
    text = "\n".join(["# Made by `make lock` from pyproject.toml. Do not edit.", *lines])
    (ROOT / name).write_text(text + "\n", encoding="utf-8")
    logger.info("wrote %s: %d packages", name, len(lines))


def main() -> int:
    """Write the lock files."""
    logging.basicConfig(level=logging.INFO, format="==> %(message)s")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    steps = {
        "requirements-serve.lock": project["dependencies"],
        "requirements.lock": extras["train"],
        "requirements-dev.lock": [
            line for extra in ("dev", "ray", "openvino", "heif") for line in extras[extra]
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        # torch first: with it installed, nothing later asks for another build.
        torch = next(line for line in project["dependencies"] if line.startswith("torch=="))
        for name, wanted in {"": [torch], **steps}.items():
            subprocess.run([python, "-m", "pip", "install", *wanted], check=True)
            if name:
                write(name, freeze(python))
            if name == "requirements-serve.lock":
                for extra in ("tracing", "ray", "openvino"):
                    write(f"requirements-{extra}.lock", added(python, extras[extra]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Install the pinned torch: the CPU build where there is no NVIDIA GPU, else the CUDA build.

    python deploy/install_torch.py requirements.lock

PyPI's torch for Linux on x86 brings gigabytes of CUDA libraries. Where no GPU is found, this asks
PyTorch's own index for the CPU build; where that index does not answer within seconds, it installs
whatever build pip's own configuration finds first.
"""

from __future__ import annotations

import logging
import platform
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ANSWER_WITHIN_SECONDS = 4

logger = logging.getLogger("install_torch")


def pinned_version(lock: Path) -> str:
    """Return the version of torch in a lock file.

    Raises:
        SystemExit: the file pins none.
    """
    found = re.search(r"^torch==([\w.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{lock}: no line torch==VERSION")
    return found.group(1)


def has_gpu() -> bool:
    """Return whether an NVIDIA driver with at least one GPU answers."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    listed = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


def cpu_index_answers() -> bool:
    """Return whether PyTorch's index of CPU builds can be reached."""
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=ANSWER_WITHIN_SECONDS):
            return True
    except OSError:
        return False


def installed_version() -> str:
    """Return torch's installed version without its build tag; empty if there is none."""
    code = "import importlib.metadata as m; print(m.version('torch').partition('+')[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> int:
    """Install; return pip's exit status."""
    logging.basicConfig(level=logging.INFO, format="==> %(message)s")
    version = pinned_version(Path(sys.argv[1]))
    if installed_version() == version:
        logger.info("torch %s is installed", version)
        return 0
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    # Only Linux on x86 has a choice of builds; elsewhere PyPI's is the CPU (or Apple GPU) one.
    if (sys.platform, platform.machine()) != ("linux", "x86_64") or has_gpu():
        logger.info("torch %s from the package index", version)
    elif cpu_index_answers():
        logger.info("torch %s for CPU: no NVIDIA GPU found", version)
        command += ["--index-url", CPU_INDEX]
    else:
        logger.info(
            "torch %s: PyTorch's index of CPU builds does not answer, taking what pip finds",
            version,
        )
    return subprocess.run([*command, f"torch=={version}"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

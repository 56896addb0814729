"""Build the container image: `make image`.

    python -m deploy.image [--models compact,NAME…] [--matcher NAME] [--tag NAME:TAG]

`bentoml build` packs service and models, `bentoml containerize` installs the environment, and
deploy/Dockerfile puts both on a bare Python image, without what only builds need.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from deploy import stand_in, torch_wheels
from deploy.install_torch import pinned_version
from models import store
from models.runtimes.openvino.files import has_graphs
from serving.base.version import __version__
from serving.bento.framework import BASE_IMAGE

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "image"
LOCK = ROOT / "requirements-serve.lock"
DEFAULT_MODEL = "compact"

_TORCH = frozenset({"torch", "transformers", "mpmath", "networkx", "regex", "sympy"})
"""torch, transformers, and what nothing but these two needs."""

logger = logging.getLogger("image")

_IN_IMAGE = """
import importlib.metadata as m, json, os, shutil
nvidia = {d.name for d in m.distributions() if d.name.startswith("nvidia-")} - {"nvidia-ml-py"}
tools = [tool for tool in ("gcc", "cc", "make", "git", "uv") if shutil.which(tool)]
torch = next((d.version for d in m.distributions() if d.name == "torch"), "")
found = {"torch": torch, "uid": os.getuid(), "nvidia": sorted(nvidia), "tools": tools}
print(json.dumps(found))
"""


class ImageError(RuntimeError):
    """The image cannot be built. The message is for people."""


@dataclass(frozen=True)
class Contents:
    """What an image holds.

    Attributes:
        models: captioners, by their names in the model store; the first is the default.
        matcher: the model that ranks texts; empty for none.
    """

    models: tuple[str, ...]
    matcher: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """Every model's name."""
        return (*self.models, *filter(None, [self.matcher]))


def bentofile(contents: Contents, requirements: str, env: dict[str, str]) -> dict[str, Any]:
    """Return bentofile.yaml's content for an image.

    Args:
        contents: models to pack, instead of those that the file names.
        requirements: path of the lock file, from the project's root.
        env: environment of the installation.
    """
    content: dict[str, Any] = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    content["models"] = [{"tag": _with_version(m), "alias": m.split(":")[0]} for m in contents.all]
    content["python"]["requirements_txt"] = requirements
    content["envs"] = [{"name": key, "value": value} for key, value in env.items()]
    return content


def cpu_requirements(lock: str) -> str:
    """Return a lock file's text with torch pinned to its build for CPU.

    Raises:
        ImageError: torch is not pinned in it.
    """
    pinned, count = re.subn(r"^(torch==[\d.]+)$", r"\1+cpu", lock, flags=re.MULTILINE)
    if count != 1:
        raise ImageError("the lock file has no line torch==VERSION")
    return pinned


def requirements(contents: Contents, lock: str) -> str:
    """Return the packages of an image, pinned: torch's build for CPU, or no torch.

    Where every model has graphs for OpenVINO, nothing in the image would import it.
    """
    if contents.matcher or not all(has_graphs(store.find(name).path) for name in contents.models):
        return cpu_requirements(lock)
    lines = lock.splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("==")[0] not in _TORCH)


def default_tag(contents: Contents) -> str:
    """Return what an image of the work tree is called: version, commit, changed or not, models."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=9", "--match=", "--exclude=*"]
    commit = _output(describe)
    models = "" if contents.all == (DEFAULT_MODEL,) else "-".join(contents.all).replace(":", ".")
    return "captionbox:" + "-".join(filter(None, (__version__, commit, models)))


def build(contents: Contents, tag: str) -> str:
    """Build the image and return its identity.

    Raises:
        ImageError: a step failed, or the result is not as it should be.
    """
    stand_in.ensure([BASE_IMAGE])
    BUILD.mkdir(parents=True, exist_ok=True)
    pinned = BUILD / "requirements.txt"
    text = requirements(contents, LOCK.read_text(encoding="utf-8"))
    pinned.write_text(text, encoding="utf-8")
    with torch_wheels.uv_environment(pinned_version(LOCK)) as env:
        content = bentofile(contents, str(pinned.relative_to(ROOT)), env)
        file = BUILD / "bentofile.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        bento = _bento_tag(_bentoml("build", "--output", "tag", "-f", str(file)))
        built = f"captionbox-built:{bento.partition(':')[2]}"
        try:
            # The host's network: the wheel may be served on its loopback.
            _bentoml("containerize", bento, "-t", built, "--opt", "network=host")
        finally:
            _bentoml("delete", "--yes", bento)
    try:
        _finish(contents, built, tag)
    finally:
        _run("docker", "image", "rm", "--force", built)
    check(tag)
    return _output(["docker", "image", "inspect", "--format", "{{.Id}}", tag])


def check(tag: str) -> None:
    """Look into an image.

    Raises:
        ImageError: it holds another torch than that for CPU, or build tools, or runs as root.
    """
    run = ["docker", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", tag]
    found = json.loads(_run(*run, "python3", "-c", _IN_IMAGE).strip().splitlines()[-1])
    faults = [f"holds {name}" for name in (*found["nvidia"], *found["tools"])]
    if found["torch"] and not found["torch"].endswith("+cpu"):
        faults.append(f"torch {found['torch']} is not the build for CPU")
    if found["uid"] == 0:
        faults.append("runs as root")
    if faults:
        raise ImageError(f"{tag}: {', '.join(faults)}")


def _finish(contents: Contents, built: str, tag: str) -> None:
    arguments = {
        "BASE": BASE_IMAGE,
        "BUILT": built,
        "MODELS": ",".join(name.split(":")[0] for name in contents.models),
        "MATCHER": contents.matcher.split(":")[0],
        "VERSION": tag.partition(":")[2],
        "REVISION": _output(["git", "rev-parse", "HEAD"]),
    }
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    _run("docker", "build", "--network=host", "--tag", tag, *options, str(ROOT / "deploy"))


def _with_version(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


def _bento_tag(output: str) -> str:
    found = re.search(r"__tag__:(\S+)", output)
    if found is None:
        raise ImageError(f"bentoml build named no Bento:\n{output}")
    return found.group(1)


def _bentoml(*arguments: str) -> str:
    return _run(sys.executable, "-m", "bentoml", *arguments)


def _run(*command: str) -> str:
    """Run a command to its end and return what it printed; raise `ImageError` if it failed."""
    what = " ".join(command[:3]).replace(sys.executable, "python")
    logger.info("%s …", what)
    env = {**os.environ, "DOCKER_BUILDKIT": "1", "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=env,
    )
    if done.returncode != 0:
        raise ImageError(f"{what} failed:\n{done.stdout[-6000:]}")
    return done.stdout


def _output(command: list[str]) -> str:
    """Return a command's standard output without spaces around it; empty if it failed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def main(arguments: list[str] | None = None) -> int:
    """Build as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m deploy.image", description=__doc__)
    parser.add_argument("--models", default=DEFAULT_MODEL, help="captioners, separated by commas")
    parser.add_argument("--matcher", default="", help="model that ranks texts")
    parser.add_argument("--tag", help="default: captionbox:VERSION-COMMIT")
    parser.add_argument("--print-tag", action="store_true", help="say the tag and build nothing")
    options = parser.parse_args(arguments)
    contents = Contents(tuple(filter(None, options.models.split(","))), options.matcher)
    tag = options.tag or default_tag(contents)
    if options.print_tag:
        sys.stdout.write(f"{tag}\n")
        return 0
    logging.basicConfig(level=logging.INFO, format="==> %(message)s")
    try:
        build(contents, tag)
    except (ImageError, stand_in.StandInError, store.ModelNotFoundError) as error:
        raise SystemExit(f"image: {error}") from None
    size = int(_output(["docker", "image", "inspect", "--format", "{{.Size}}", tag]))
    logger.info("%s: %.0f MB", tag, size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())

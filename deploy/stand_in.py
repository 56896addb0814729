"""Make base images out of this machine's Debian packages, where no image registry can be reached.

    python deploy/stand_in.py python:3.11-slim nginx:stable

Does nothing for an image that the engine has or can pull. Otherwise mmdebstrap installs the image's
packages from the machine's own apt sources, and the result is imported under the image's name. The
certificate authorities that the machine trusts beyond Debian's are trusted in it too, so that what
runs in a build can reach what the machine can reach. For development and tests: on a machine with a
registry the real images are pulled.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

LOCAL_AUTHORITIES = Path("/usr/local/share/ca-certificates")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
PULL_SECONDS = 300

logger = logging.getLogger("stand_in")


@dataclass(frozen=True)
class Recipe:
    """What a stand-in holds.

    Attributes:
        packages: Debian packages, beside the smallest system and the authorities.
        command: what a container of it runs.
        check: command that must succeed in the finished system.
    """

    packages: tuple[str, ...]
    command: tuple[str, ...]
    check: str


RECIPES = {
    "python:3.11-slim": Recipe(
        ("python3", "python3-pip"),
        ("python3",),
        "python3 -c 'import sys; assert sys.version_info[:2] == (3, 11), sys.version'",
    ),
    "nginx:stable": Recipe(("nginx-light",), ("nginx", "-g", "daemon off;"), "nginx -v"),
}
"""Stand-ins by the name of the image that they stand in for."""

_UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


class StandInError(RuntimeError):
    """A stand-in cannot be made here. The message is one line for people."""


def present(image: str) -> bool:
    """Return whether the engine has an image."""
    return _quietly(["docker", "image", "inspect", image])


def pull(image: str) -> bool:
    """Fetch an image from its registry; return whether that worked."""
    logger.info("pulling %s", image)
    return _quietly(["docker", "pull", "--quiet", image])


def make(image: str) -> None:
    """Make the stand-in of an image and import it under its name.

    Raises:
        StandInError: no recipe for it, or a tool is missing, or a step failed.
    """
    recipe = RECIPES.get(image)
    if recipe is None:
        raise StandInError(f"{image} can neither be pulled nor made here")
    if shutil.which("mmdebstrap") is None:
        raise StandInError(f"{image} cannot be pulled; to make a stand-in: apt install mmdebstrap")
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder) / "root.tar"
        _run(bootstrap_command(recipe, tar))
        _run(["docker", "import", *import_changes(recipe), str(tar), image])
    logger.info("made a stand-in for %s of this machine's Debian packages", image)


def bootstrap_command(recipe: Recipe, tar: Path) -> list[str]:
    """Return the mmdebstrap command that writes the system of a recipe to `tar`."""
    sources = [path for path in SOURCES if path.is_file() and path.read_text().strip()]
    if not sources:
        raise StandInError("this machine has no apt sources")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar"]
    command += [f"--include={','.join(('ca-certificates', *recipe.packages))}"]
    command += [f"--dpkgopt=path-exclude={path}" for path in _UNNEEDED]
    if LOCAL_AUTHORITIES.is_dir():
        command += [f"--customize-hook=copy-in {LOCAL_AUTHORITIES} /usr/local/share"]
    hooks = (
        "update-ca-certificates >/dev/null 2>&1",
        # pip may install into this system: it is nobody's machine.
        "rm -f /usr/lib/python3*/EXTERNALLY-MANAGED",
        "rm -rf /var/cache/apt/*.bin /var/lib/apt/lists/* /var/log/*",
        recipe.check,
    )
    command += [f'--customize-hook=chroot "$1" sh -c "{hook}"' for hook in hooks]
    # An empty suite and one argument of sources each: no mirror is named here.
    return [*command, "", str(tar), *map(str, sources)]


def import_changes(recipe: Recipe) -> list[str]:
    """Return the options of `docker import` that set environment and command."""
    quoted = ", ".join(f'"{word}"' for word in recipe.command)
    changes = (
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        f"CMD [{quoted}]",
    )
    return [word for change in changes for word in ("--change", change)]


def _quietly(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=PULL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        # mmdebstrap keeps the system it makes in here for a while.
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode != 0:
        raise StandInError(f"{command[0]} failed:\n{done.stdout[-3000:]}")


def ensure(images: list[str]) -> None:
    """Have the engine hold images: as they are there, from their registry, or stand-ins.

    Raises:
        StandInError: one is not to be had at all.
    """
    for image in images:
        if not present(image) and not pull(image):
            make(image)


def main() -> int:
    """Make sure that the engine has every image named on the command line."""
    logging.basicConfig(level=logging.INFO, format="==> %(message)s")
    try:
        ensure(sys.argv[1:])
    except StandInError as error:
        raise SystemExit(f"stand_in: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())

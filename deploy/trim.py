"""Cut from a container what only builds and tests need; runs in the container, while it is built.

python3 trim.py VENV BENTO
"""

from __future__ import annotations

import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

UNNEEDED_FOLDERS = ("torch/include", "torch/test", "torch/share")
"""Below site-packages: headers, CMake files and the tests of torch itself."""

UNNEEDED_NAMES = frozenset({"tests", "__pycache__"})
"""Folders anywhere: packages' own tests, which nobody imports (not `testing`, often public), and
compiled files; deploy/warm.py makes those that are needed."""

UNNEEDED_ENDINGS = (".pyi", ".a", ".h", ".hpp", ".cuh", ".pyx", ".pxd", ".c", ".cpp")

NEEDED_OF_TORCH_BIN = frozenset({"torch_shm_manager"})
"""torch does not start without it. The rest of `torch/bin` are its tests and a compiler."""


def unneeded(packages: Path) -> Iterator[Path]:
    """Yield what can be removed from a site-packages folder, parents before what is in them."""
    for name in UNNEEDED_FOLDERS:
        yield packages / name
    for path in sorted((packages / "torch" / "bin").glob("*")):
        if path.name not in NEEDED_OF_TORCH_BIN:
            yield path
    for path in sorted(packages.rglob("*")):
        is_unneeded_folder = path.name in UNNEEDED_NAMES and path.is_dir()
        if is_unneeded_folder or path.suffix in UNNEEDED_ENDINGS:
            yield path


def strip(path: Path) -> int:
    """Cut the symbol tables for debuggers off a shared library; return how many bytes that freed.

    What the loader needs lies in the segments that the program headers list. Symbols and section
    headers follow them in the file: 89 MB of torch's 434. Other files, and libraries of which
    nothing can be cut this way, stay as they are.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        head = file.read(64)
        # 64 bits, little-endian, as all that this runs on.
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            return 0
        offset = struct.unpack_from("<Q", head, 32)[0]
        entry_size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(entry_size * count)
        ends = [offset + len(table)]
        for start in range(0, len(table), entry_size):
            # p_offset and p_filesz
            at, length = struct.unpack_from("<Q16xQ", table, start + 8)
            ends.append(at + length)
        end = max(ends)
        if end >= size:
            return 0
        file.seek(40)
        file.write(bytes(8))  # e_shoff: no section headers
        file.seek(58)
        file.write(bytes(6))  # e_shentsize, e_shnum, e_shstrndx
        file.truncate(end)
    return size - end


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main() -> int:
    """Trim, and make everything readable for whatever user the container runs as."""
    venv, bento = map(Path, sys.argv[1:3])
    for packages in venv.glob("lib/python*/site-packages"):
        for path in list(unneeded(packages)):
            remove(path)
        for path in packages.rglob("*.so*"):
            if path.is_file() and not path.is_symlink():
                strip(path)
    for root in (venv, bento):
        for path in (root, *root.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                readable = mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0)
                # A file whose mode is changed is copied into the layer whole.
                if mode != readable:
                    path.chmod(readable)
    return 0


if __name__ == "__main__":
    sys.exit(main())

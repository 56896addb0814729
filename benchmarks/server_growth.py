"""How `compact` over HTTP grows with engine processes, their threads, and the pictures' size.

python -m benchmarks.server_growth [--clients 1 16] [--rounds 3] [--seconds 6]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks.server_level import as_json, closed_loops
from benchmarks.tools.pictures import write_pictures
from benchmarks.tools.servers import PATIENT
from benchmarks.tools.stack import ROOT
from benchmarks.tools.workspace import DEFAULT_FOLDER, Workspace
from models.runtimes.processor import has_bf16
from serving.base.machine import available_cores
from tests.server import Server, install

SMALL = "640x480"


def setups(cores: int) -> dict[str, dict[str, str]]:
    """Return the servers' settings: one engine process, two, and one a core; by a title."""
    shapes = [(1, 1), (1, cores), (2, max(1, cores // 2)), (cores, 1)]
    return {
        f"{processes} x {threads}": {"engine_workers": str(processes), "threads": str(threads)}
        for processes, threads in dict.fromkeys(shapes)
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_growth")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a loop")
    parser.add_argument("--cores", type=int, default=available_cores(), help="to share out")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    workspace = Workspace(options.folder, False, None)
    pictures = write_pictures(workspace.folder / "pictures")
    home = workspace.folder / "home"
    home.mkdir(exist_ok=True)
    install(home, ROOT / "models" / "weights" / "compact")
    precision = "bf16" if has_bf16() else "fp32"
    common = {**PATIENT, "models": "compact:test", "precision": precision}
    how = {"rounds": options.rounds, "seconds": options.seconds}
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for title, shape in setups(options.cores).items():
            log = workspace.logs / f"processes-{title.replace(' ', '')}.log"
            servers[title] = Server(home, log, settings={**common, **shape})
            stack.callback(servers[title].stop)
            servers[title].start()
        by_processes = closed_loops(servers, pictures[SMALL], options.clients, **how)
        last = list(servers)[-1]
        by_size = {
            size: closed_loops({last: servers[last]}, folder, options.clients, **how)
            for size, folder in pictures.items()
        }
    found = {
        **how,
        "cores": options.cores,
        "precision": precision,
        "pictures": SMALL,
        "processes": as_json(by_processes),
        "sizes_at": last,
        "sizes": {size: as_json(found) for size, found in by_size.items()},
    }
    path = workspace.folder / "server_growth.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Whole servers over HTTP: ours beside what people write around the same model.

python -m benchmarks.server_level [--clients 1 4 16 64] [--parts peers open large compact]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from benchmarks.overhead import overhead
from benchmarks.overload import Memory
from benchmarks.saturation import Alone, saturation
from benchmarks.tools.pictures import write_pictures
from benchmarks.tools.servers import FASTAPI, OPENVINO, OURS, PATIENT, chosen, servers
from benchmarks.tools.stack import ROOT
from benchmarks.tools.workspace import DEFAULT_FOLDER, Workspace
from serving.base.machine import available_cores
from tests.server import Server, install

logger = logging.getLogger(__name__)

PARTS = ("peers", "open", "large", "compact")

BATCH = 16
"""Most pictures at once in the engine, by default."""


@dataclass(frozen=True)
class Run:
    """One run of load: rates a second, times in milliseconds, memory in MB.

    `cpu_ms` is the processor time of all the server's processes a caption.
    """

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failures: int
    cpu_ms: float
    peak_mb: float


def loaded(server: Server, images: Path, kind: str, seconds: float) -> Run:
    """Load a server from a process of its own.

    Args:
        server: which.
        images: folder of JPEG files.
        kind: `--concurrency=N` for a closed loop, `--rate=R` for an open one.
        seconds: how long.
    """
    command = [sys.executable, "-m", "benchmarks.tools.load", f"{server.url}/caption", kind]
    before = _cpu_seconds(server.pid)
    with Memory(server.pid) as memory:
        done = subprocess.run(
            [*command, "--images", str(images), "--seconds", str(seconds)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    found = json.loads(done.stdout)
    return Run(
        found["per_second"],
        found["p50_ms"],
        found["p95_ms"],
        found["p99_ms"],
        found["failures"],
        1000 * (_cpu_seconds(server.pid) - before) / max(1, found["all_answers"]),
        max(memory.samples) * 1.048576,
    )


def _cpu_seconds(pid: int) -> float:
    """Return the processor time so far of a process and all below it."""
    top = psutil.Process(pid)
    times = [process.cpu_times() for process in (top, *top.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def middle(runs: list[Run]) -> Run:
    """Return the medians of several runs, field by field."""
    rows = [asdict(run) for run in runs]
    return Run(**{name: median(row[name] for row in rows) for name in rows[0]})


def precision_of(server: Server, model: str) -> str:
    """Return what a server of ours computes in."""
    answer = httpx.get(f"{server.url}/v1/models/{model}", timeout=30).raise_for_status().json()
    return str(answer["computes_in"]["precision"])


Found = dict[str, dict[str, Run]]
"""By load and server."""


def closed_loops(
    servers: dict[str, Server], images: Path, clients: list[int], rounds: int, seconds: float
) -> Found:
    """Load servers in turn, round after round; return medians by clients and server."""
    runs: dict[str, dict[str, list[Run]]] = {}
    for turn in range(rounds):
        for count in clients:
            for title, server in servers.items():
                run = loaded(server, images, f"--concurrency={count}", seconds)
                runs.setdefault(str(count), {}).setdefault(title, []).append(run)
                logger.info("round %d, %d clients, %s: %s", turn, count, title, run)
    return {
        count: {title: middle(several) for title, several in by_title.items()}
        for count, by_title in runs.items()
    }


@dataclass(frozen=True)
class Plan:
    """What is measured beside peers.

    Attributes:
        clients: of each closed loop.
        rates: requests a second of each open loop.
        large: clients of each closed loop of 12-megapixel files.
        threads: for the model.
        seconds: of each loop.
        rounds: of the first kind; the others run once, in fewer servers.
        names: servers.
    """

    clients: list[int]
    rates: list[float]
    large: list[int]
    threads: int
    seconds: float
    rounds: int
    names: list[str]


def against_peers(
    workspace: Workspace, pictures: dict[str, Path], plan: Plan
) -> tuple[dict[str, Found], dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Measure all servers, one after the other, round after round; and our model alone.

    Returns:
        closed loops (`clients`), open ones (`rates`) and those of large files (`large`); the model
        alone by batch; what it reaches alone and in the server with most clients, by server.
    """
    small = pictures["640x480"]
    with servers(workspace, plan.threads, plan.names) as started:
        precision = precision_of(started[OURS], "vit-gpt2")
        loops = closed_loops(started, small, plan.clients, plan.rounds, plan.seconds)
        few = {name: started[name] for name in (OURS, OPENVINO, FASTAPI) if name in started}
        found: dict[str, Found] = {
            "clients": loops,
            "rates": {
                f"{rate:g}": {
                    name: loaded(server, small, f"--rate={rate}", plan.seconds)
                    for name, server in few.items()
                }
                for rate in plan.rates
            },
            "large": {
                str(clients): {
                    name: loaded(server, pictures["12MP"], f"--concurrency={clients}", plan.seconds)
                    for name, server in few.items()
                }
                for clients in plan.large
            },
        }
        models = {OURS: Alone(workspace.model(), precision, plan.threads)}
        if OPENVINO in started and (graphs := workspace.graphs()) is not None:
            models[OPENVINO] = Alone(graphs, "int8", plan.threads, "openvino")
        busy = f"--concurrency={max(plan.clients)}"
        shares = {}
        for name, model in models.items():
            shares[name] = saturation(
                partial(model.measure, workspace, small, BATCH),
                partial(loaded, started[name], small, busy, plan.seconds),
                plan.rounds,
            )
            logger.info("%s, busy: %s", name, shares[name])
    alone = {str(batch): models[OURS].measure(workspace, small, batch) for batch in (1, BATCH)}
    return found, alone, shares


def compact(
    workspace: Workspace, images: Path, clients: list[int], cores: int, seconds: float
) -> tuple[Found, dict[str, dict[str, float]], dict[str, float]]:
    """Measure `compact` over HTTP on a number of cores, beam 3; alone on as many; its overhead."""
    model = ROOT / "models" / "weights" / "compact"
    home = workspace.folder / "home"
    home.mkdir(exist_ok=True)
    install(home, model)
    allowed = os.sched_getaffinity(0)
    server = Server(
        home,
        workspace.logs / "compact.log",
        # Processes and threads as the server chooses them by itself.
        settings={**PATIENT, "models": "compact:test", "engine_workers": "", "threads": ""},
    )
    found: Found = {}
    try:
        # What is started now inherits the cores.
        os.sched_setaffinity(0, set(sorted(allowed)[:cores]))
        server.start()
        precision = precision_of(server, "compact")
        itself = Alone(model, precision, cores)
        alone = {str(batch): itself.measure(workspace, images, batch) for batch in (1, BATCH)}
        os.sched_setaffinity(0, set(sorted(allowed)[cores:]) or allowed)
        single = overhead(server.url, images)
        for concurrency in clients:
            run = loaded(server, images, f"--concurrency={concurrency}", seconds)
            found[str(concurrency)] = {OURS: run}
            logger.info("compact, %d clients: %s", concurrency, run)
    finally:
        os.sched_setaffinity(0, allowed)
        server.stop()
    return found, alone, single


def as_json(found: Found) -> dict[str, dict[str, dict[str, float]]]:
    """Return runs as they are kept for `benchmarks.results`."""
    return {
        load: {name: asdict(run) for name, run in by_name.items()}
        for load, by_name in found.items()
    }


def _write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_level")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 4], help="of open loops")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a loop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--cores", type=int, default=2, help="that `compact` is served on")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--only", default="", help="further servers, by a regular expression")
    parser.add_argument("--tiny", action="store_true", help="a network that takes milliseconds")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    options = parser.parse_args(arguments)
    if {"open", "large"} & set(options.parts) and "peers" not in options.parts:
        parser.error("the parts open and large are measured with peers, on the same servers")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    workspace = Workspace(options.folder, options.tiny, None)
    pictures = write_pictures(workspace.folder / "pictures")
    if "peers" in options.parts:
        plan = Plan(
            options.clients,
            options.rates if "open" in options.parts else [],
            [16] if "large" in options.parts else [],
            options.threads,
            options.seconds,
            options.rounds,
            chosen(options.only),
        )
        loads, alone, shares = against_peers(workspace, pictures, plan)
        numbers: dict[str, Any] = {kind: as_json(found) for kind, found in loads.items()}
        numbers |= {
            "bare": alone,
            "saturation": shares,
            "threads": options.threads,
            "pictures": "640x480",
        }
        _write(workspace.folder / "server_level.json", numbers)
    if "compact" in options.parts:
        small = pictures["640x480"]
        found, alone, single = compact(workspace, small, [1, 16], options.cores, options.seconds)
        numbers = {"clients": as_json(found), "bare": alone, "one_client": single}
        numbers |= {"threads": options.cores, "pictures": "640x480"}
        _write(workspace.folder / "compact.json", numbers)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Whole servers over HTTP: ours beside what people write around the same model.

python -m benchmarks.server_level [--clients 1 4 16 64] [--parts peers compact]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from benchmarks.overhead import overhead
from benchmarks.overload import Memory
from benchmarks.pictures import write_pictures
from benchmarks.stack import ROOT
from benchmarks.workspace import DEFAULT_FOLDER, Workspace
from models.backend import has_openvino
from serving.cores import available_cores
from serving.openmp import variables
from tests.server import START_SECONDS, Server, environment, install

logger = logging.getLogger(__name__)

OURS, INT8 = "captionbox", "captionbox, int8 asked for"
OPENVINO = "captionbox, OpenVINO int8"
FASTAPI, BENTOML = "FastAPI + transformers", "BentoML + transformers, unbatched"
ALL = (OURS, INT8, OPENVINO, FASTAPI, BENTOML)
PATIENT = {"max_latency_ms": "600000", "timeout_s": "600", "max_concurrency": "1000"}
"""So that nobody is refused while it is measured how fast all are served."""


class FastApiServer(Server):
    """The FastAPI peer."""

    def start(self) -> None:
        """Start and wait until it answers."""
        program = "benchmarks.peers.fastapi_server:app"
        where = ("--host", self.host, "--port", str(self.port), "--no-access-log")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", program, *where],
                cwd=ROOT,
                env=environment(self.home),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_ready(START_SECONDS)


@dataclass(frozen=True)
class Run:
    """One closed loop: rates a second, times in milliseconds, memory in MB.

    `cpu_ms` is the processor time of all the server's processes a caption.
    """

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    failures: int
    cpu_ms: float
    peak_mb: float


@contextmanager
def servers(workspace: Workspace, threads: int, names: list[str]) -> Iterator[dict[str, Server]]:
    """Start servers, all with the same weights; stop them at the end."""
    home = workspace.folder / "home"
    home.mkdir(exist_ok=True)
    install(home, workspace.model(), "vit-gpt2", "tiny" if workspace.tiny else "true")
    os.environ.update(CHECKPOINT=str(workspace.checkpoint()), THREADS=str(threads))
    logs, version = workspace.logs, "tiny" if workspace.tiny else "true"
    settings = {**PATIENT, "models": f"vit-gpt2:{version}", "threads": str(threads)}
    narrow = {**settings, "precision": "int8"}
    made: dict[str, Server] = {
        OURS: Server(home, logs / "captionbox.log", settings=settings),
        INT8: Server(home, logs / "int8.log", settings=narrow),
        FASTAPI: FastApiServer(home, logs / "fastapi.log"),
        BENTOML: Server(
            home, logs / "bentoml.log", what="benchmarks.peers.bentoml_service:Captioning"
        ),
    }
    graphs = workspace.graphs() if OPENVINO in names else None
    if graphs is not None:
        install(home, graphs, "vit-gpt2", f"{version}-graphs")
        other = {"models": f"vit-gpt2:{version}-graphs", "backend": "openvino"}
        made[OPENVINO] = Server(home, logs / "openvino.log", settings={**narrow, **other})
    with ExitStack() as stack:
        for name in names:
            stack.callback(made[name].stop)
            made[name].start()
            logger.info("%s is ready", name)
        yield {name: made[name] for name in names}


def chosen(only: str) -> list[str]:
    """Return the servers that are measured: ours, the baseline, and what `only` matches."""
    able = [name for name in ALL if name != OPENVINO or has_openvino()]
    return [name for name in able if name in (OURS, FASTAPI) or re.search(only, name)]


def closed_loop(server: Server, images: Path, concurrency: int, seconds: float) -> Run:
    """Load a server from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", f"{server.url}/caption"]
    options = ["--images", str(images), "--concurrency", str(concurrency)]
    before = _cpu_seconds(server.pid)
    with Memory(server.pid) as memory:
        done = subprocess.run(
            [*command, *options, "--seconds", str(seconds)],
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


def bare(
    workspace: Workspace, model: Path, precision: str, images: Path, batch: int, threads: int
) -> dict[str, float]:
    """Return what the model reaches without a server."""
    command = [sys.executable, "-m", "benchmarks.bare", str(model), precision]
    options = ["--images", str(images), "--batch", str(batch), "--threads", str(threads)]
    log = workspace.logs / "bare.log"
    with log.open("w", encoding="utf-8") as stderr:
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env={**os.environ, **variables(threads)},
            check=True,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def precision_of(server: Server, model: str) -> str:
    """Return what a server of ours computes in."""
    answer = httpx.get(f"{server.url}/v1/models/{model}", timeout=30).raise_for_status().json()
    return str(answer["computes_in"]["precision"])


Found = dict[int, dict[str, Run]]
"""By number of clients and server."""


def against_peers(
    workspace: Workspace,
    images: Path,
    clients: list[int],
    threads: int,
    seconds: float,
    rounds: int,
    names: list[str],
) -> tuple[Found, dict[str, dict[str, float]]]:
    """Measure all servers, one after the other, round after round; and our model alone.

    A peer computes one picture after the other: it is given longer where many wait.
    """
    runs: dict[int, dict[str, list[Run]]] = {}
    with servers(workspace, threads, names) as started:
        precision = precision_of(started[OURS], "vit-gpt2")
        for turn in range(rounds):
            for concurrency in clients:
                for name, server in started.items():
                    run = closed_loop(server, images, concurrency, seconds)
                    runs.setdefault(concurrency, {}).setdefault(name, []).append(run)
                    logger.info("round %d, %d clients, %s: %s", turn, concurrency, name, run)
    alone = {
        str(batch): bare(workspace, workspace.model(), precision, images, batch, threads)
        for batch in (1, 16)
    }
    found = {
        concurrency: {name: middle(several) for name, several in by_name.items()}
        for concurrency, by_name in runs.items()
    }
    return found, alone


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
        alone = {
            str(batch): bare(workspace, model, precision, images, batch, cores) for batch in (1, 16)
        }
        os.sched_setaffinity(0, set(sorted(allowed)[cores:]) or allowed)
        single = overhead(server.url, images)
        for concurrency in clients:
            found[concurrency] = {OURS: closed_loop(server, images, concurrency, seconds)}
            logger.info("compact, %d clients: %s", concurrency, found[concurrency][OURS])
    finally:
        os.sched_setaffinity(0, allowed)
        server.stop()
    return found, alone, single


def as_json(
    found: Found, alone: dict[str, dict[str, float]], threads: int, pictures: str
) -> dict[str, Any]:
    """Return results as they are kept for `benchmarks.results`."""
    rows = {
        str(concurrency): {name: asdict(run) for name, run in by_name.items()}
        for concurrency, by_name in found.items()
    }
    return {"clients": rows, "bare": alone, "threads": threads, "pictures": pictures}


def _write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_level")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=20.0, help="a closed loop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--cores", type=int, default=2, help="that `compact` is served on")
    parser.add_argument("--parts", nargs="+", default=["peers", "compact"])
    parser.add_argument("--only", default="", help="further servers, by a regular expression")
    parser.add_argument("--pictures", default="640x480", help="640x480 or 12MP")
    parser.add_argument("--tiny", action="store_true", help="a network that takes milliseconds")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    workspace = Workspace(options.folder, options.tiny, None)
    images = write_pictures(workspace.folder / "pictures")[options.pictures]
    if "peers" in options.parts:
        peers = against_peers(
            workspace,
            images,
            options.clients,
            options.threads,
            options.seconds,
            options.rounds,
            chosen(options.only),
        )
        path = workspace.folder / "server_level.json"
        _write(path, as_json(*peers, options.threads, options.pictures))
    if "compact" in options.parts:
        found, alone, single = compact(workspace, images, [1, 16], options.cores, options.seconds)
        path = workspace.folder / "compact.json"
        numbers = as_json(found, alone, options.cores, options.pictures)
        _write(path, {**numbers, "one_client": single})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The servers that are measured beside each other: ours, and what people write themselves."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.tools.stack import ROOT
from benchmarks.tools.workspace import Workspace
from models.api.device import has_openvino
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

"""Where benchmarks keep what they make: checkpoints, exports, the peers' environment.

Everything is made once and kept under `benchmarks/.work`, which git ignores.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tools.stack import ROOT

logger = logging.getLogger(__name__)

DEFAULT_FOLDER = ROOT / "benchmarks" / ".work"


@dataclass(frozen=True)
class Workspace:
    """Files of one size of ViT-GPT2.

    Attributes:
        folder: for everything.
        tiny: a network of the same architecture that takes milliseconds, for tests.
        peers_python: interpreter of the peers' environment; `None` measures without optimum.
    """

    folder: Path = DEFAULT_FOLDER
    tiny: bool = False
    peers_python: Path | None = DEFAULT_FOLDER / "peers" / "bin" / "python"

    @property
    def side(self) -> int:
        """Width and height of the network's input."""
        return 64 if self.tiny else 224

    @property
    def logs(self) -> Path:
        """What the stacks print."""
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def checkpoint(self) -> Path:
        """Return a directory as transformers reads it, random weights."""
        from tests.checkpoints import write_vit_gpt2

        target = self._folder("checkpoint")
        if not target.is_dir():
            logger.info("writing a checkpoint with random weights")
            partial = _partial(target)
            write_vit_gpt2(partial, true_size=not self.tiny, pickled=False)
            partial.rename(target)
        return target

    def model(self) -> Path:
        """Return the same weights as a model directory of ours."""
        from models.hub.import_model import prepare

        target = self._folder("model")
        if not target.is_dir():
            partial = _partial(target)
            prepare(str(self.checkpoint()), partial)
            partial.rename(target)
        return target

    def graphs(self) -> Path | None:
        """Return `model` with graphs for OpenVINO; `None` where it is not installed."""
        from models.api.device import has_openvino
        from models.export_openvino import add_graphs

        if not has_openvino():
            return None
        target = self._folder("graphs")
        if not target.is_dir():
            logger.info("making graphs for OpenVINO: a minute, once")
            partial = _partial(target)
            for item in self.model().iterdir():
                (partial / item.name).symlink_to(item.resolve())
            add_graphs(partial)
            partial.rename(target)
        return target

    def exports(self) -> Path | None:
        """Return optimum's exports of the checkpoint; `None` without the peers' environment."""
        if self.peers_python is None or not self.peers_python.is_file():
            return None
        target = self._folder("exports")
        if not target.is_dir():
            logger.info("exporting with optimum: some minutes, once")
            command = ["-m", "benchmarks.peers.export", str(self.checkpoint()), str(target)]
            with (self.logs / "export.log").open("w", encoding="utf-8") as log:
                subprocess.run(
                    [str(self.peers_python), *command],
                    cwd=ROOT,
                    env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
                    stdout=log,
                    stderr=log,
                    check=True,
                )
        return target

    def _folder(self, name: str) -> Path:
        return self.folder / f"{name}-{'tiny' if self.tiny else 'true'}"


def _partial(target: Path) -> Path:
    """Return an empty directory beside `target`, to be renamed when it is complete."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial

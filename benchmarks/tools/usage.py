"""What a process and all it starts use, watched from outside."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil

_EVERY_SECONDS = 0.25


class Usage:
    """Watches a process and its descendants while the `with` block runs.

    Args:
        pid: of the process.
        worker: what the command line of the processes holds whose memory is of interest.
    """

    def __init__(self, pid: int, worker: str) -> None:
        self._root, self._worker = psutil.Process(pid), worker
        self._cpu: dict[int, float] = {}
        self._memory: dict[int, int] = {}
        self._end, self._turn = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def cpu_seconds(self) -> float:
        """Processor time that all have used so far, those that have ended among them."""
        self._look()
        with self._turn:
            return sum(self._cpu.values())

    @property
    def worker_mib(self) -> float:
        """Most memory that one worker had for itself, in MiB; 0 where there was none."""
        return max(self._memory.values(), default=0) / 2**20

    def processes(self) -> list[psutil.Process]:
        """Return those that run now, the first one first; none once that has ended."""
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._turn:
            for process in self.processes():
                try:
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
                    if self._worker in " ".join(process.cmdline()):
                        used = process.memory_full_info().uss
                        self._memory[process.pid] = max(used, self._memory.get(process.pid, 0))
                except psutil.Error:
                    continue  # it has just ended

"""The benchmark of capacity: its arithmetic, and what it sees of processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.capacity import Run, on_cores, predict, table
from benchmarks.tools.usage import Usage

RUN = Run(
    way="job",
    cores=2,
    pictures=1000,
    per_second=50.0,
    cpu_ms=36.0,
    start_s=10.0,
    worker_mib=400.0,
    bytes_in=60_000.0,
    bytes_out=80.0,
    total_s=32.0,
)

_BURN = """
import subprocess, sys, time
if len(sys.argv) > 1:
    mine = bytearray(64 << 20)
    while time.process_time() < 1.0:
        pass
    time.sleep(60)
subprocess.run([sys.executable, *sys.orig_argv[1:], "worker"])
"""


def test_a_million_pictures_follow_from_a_thousand() -> None:
    assert predict(RUN, 1_000_000) == 10 + 20_000
    row = table([RUN]).splitlines()[-1]
    assert row == "| job | 2 | 50.0 | 36.0 | 400 | 10 | 60.0, 0.08 | 5.6 | 10.0 |"


def test_what_is_started_on_a_core_stays_there() -> None:
    before = os.sched_getaffinity(0)
    program = "import os; print(len(os.sched_getaffinity(0)))"
    with on_cores(1):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(done.stdout) == 1
    assert os.sched_getaffinity(0) == before


def test_the_work_and_memory_of_children_are_seen() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", _BURN]) as process,
        Usage(process.pid, "worker") as usage,
    ):
        deadline = time.monotonic() + 60
        while usage.cpu_seconds < 1.0 and time.monotonic() < deadline:
            time.sleep(0.1)
        seen, memory = usage.cpu_seconds, usage.worker_mib
        for child in usage.processes():
            child.kill()
    assert seen >= 1.0
    assert 64 < memory < 300

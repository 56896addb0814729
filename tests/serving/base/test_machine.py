"""Cores and memory that we may use: of the machine, of a container, of a service of systemd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serving.base.machine import available_cores, available_memory, limit, quota

SERVICE = "0::/system.slice/captionbox.service\n"
OLD = "5:cpu,cpuacct:/box\n3:memory:/box\n1:name=systemd:/elsewhere\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")


@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({"cpu.max": "200000 100000"}, "0::/\n", 2),
        ({"cpu.max": "50000 100000"}, "", 1),
        ({"cpu.max": "max 100000"}, "0::/\n", None),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "", 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, OLD, None),
        ({}, "", None),
        ({"system.slice/captionbox.service/cpu.max": "400000 100000"}, SERVICE, 4),
        # The least of all that are above us counts.
        (
            {
                "system.slice/cpu.max": "200000 100000",
                "system.slice/captionbox.service/cpu.max": "400000 100000",
            },
            SERVICE,
            2,
        ),
        ({"cpu/box/cpu.cfs_quota_us": "200000", "cpu/box/cpu.cfs_period_us": "100000"}, OLD, 2),
        ({"cpu.max": "300000 100000"}, "0::/../../other\n", 3),
        ({"other.service/cpu.max": "100000 100000"}, SERVICE, None),
    ],
)
def test_quotas_count_in_both_versions_of_cgroups(
    tmp_path: Path, files: dict[str, str], membership: str, cores: int | None
) -> None:
    write(tmp_path / "cgroup", files)
    (tmp_path / "membership").write_text(membership)
    assert quota(tmp_path / "cgroup", tmp_path / "membership") == cores
    assert quota(tmp_path / "cgroup", tmp_path / "absent") in (cores, None)


@pytest.mark.parametrize(
    ("files", "membership", "size"),
    [
        ({"memory.max": "1000"}, "0::/\n", 1000),
        ({"memory.max": "max"}, "0::/\n", None),
        ({"memory/memory.limit_in_bytes": "3000"}, "", 3000),
        ({"memory/box/memory.limit_in_bytes": "2000"}, OLD, 2000),
        ({"system.slice/captionbox.service/memory.max": "500", "memory.max": "900"}, SERVICE, 500),
        ({}, SERVICE, None),
    ],
)
def test_limits_count_in_both_versions_of_cgroups(
    tmp_path: Path, files: dict[str, str], membership: str, size: int | None
) -> None:
    write(tmp_path / "cgroup", files)
    (tmp_path / "membership").write_text(membership)
    assert limit(tmp_path / "cgroup", tmp_path / "membership") == size


def test_this_machine_has_some_of_both() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    assert available_memory() > 100 * 1024**2

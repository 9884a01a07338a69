"""Control groups of both versions, read as the kernel writes them, and limits that a process keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airloom.runtime import groups
from airloom.runtime.groups import Group
from airloom.runtime.usage import Meter

MIB = 2**20
V2 = {
    "memory.peak": f"{300 * MIB}\n",
    "memory.max": f"{512 * MIB}\n",
    "memory.stat": f"anon 5\nfile 7\ninactive_file {100 * MIB}\nactive_file 3\n",
    "memory.events": "low 0\nhigh 0\nmax 31\noom 2\noom_kill 1\noom_group_kill 0\n",
    "cgroup.procs": "7\n8\n",
}
V1 = {
    "memory.max_usage_in_bytes": f"{300 * MIB}\n",
    "memory.limit_in_bytes": f"{512 * MIB}\n",
    "memory.stat": f"inactive_file 1\ntotal_inactive_file {100 * MIB}\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "cgroup.procs": "7\n8\n",
}


@pytest.mark.parametrize(("version", "files"), [(1, V1), (2, V2)])
def test_both_versions_tell_the_same(tmp_path: Path, version: int, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    group = Group(tmp_path, version)
    assert group.processes() == [7, 8]
    assert group.peak_mib() == 200
    assert group.limit_mib() == 512
    assert group.kills() == 1


@pytest.mark.parametrize(
    ("version", "name", "text"),
    [(2, "memory.max", "max\n"), (1, "memory.limit_in_bytes", f"{2**63 - 4096}\n")],
)
def test_a_group_without_a_limit_has_none(tmp_path: Path, version: int, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    group = Group(tmp_path, version)
    assert group.limit_mib() is None
    assert (group.peak_mib(), group.kills(), group.processes()) == (None, 0, [])


def test_this_process_is_not_alone_with_a_stranger(tmp_path: Path) -> None:
    procs = tmp_path / "cgroup.procs"
    procs.write_text(f"{os.getpid()}\n{os.getppid()}\n")
    assert groups.is_alone(Group(tmp_path, 2))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        procs.write_text(f"{os.getpid()}\n{child.pid}\n")
        assert groups.is_alone(Group(tmp_path, 2))
        assert child.stdin is not None
        child.stdin.close()
    procs.write_text(f"{os.getpid()}\n2\n")  # of the kernel's own threads, or of nobody
    assert not groups.is_alone(Group(tmp_path, 2))


def test_usage_is_of_the_attempt() -> None:
    meter = Meter()
    meter.input_bytes = 7
    used = meter.read()
    assert used.input_bytes == 7
    assert 1 < used.peak_memory_mib < 100_000
    assert used.wall_s < 60


LIMITED = """
from airloom.runtime.limits import limited, ran_out
with limited("process", 300):
    try:
        bytearray(600 * 2**20)
    except MemoryError:
        print("held")
bytearray(600 * 2**20)
with limited("none", 1), limited("process", None):
    bytearray(600 * 2**20)
print("free", ran_out("process"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_a_process_is_held_only_while_the_step_runs() -> None:
    ended = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert ended.stdout.split("\n")[:2] == ["held", "free False"]

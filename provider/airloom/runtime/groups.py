"""Control groups of Linux: a process and all that it starts, counted and limited together.

Both versions are read as the kernel documents them (Documentation/admin-guide/cgroup-v1/memory.rst
and cgroup-v2.rst). Where there are none, or none may be made, everything here answers None.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_UNLIMITED_MIB = 2**40


@dataclass(frozen=True, slots=True)
class Group:
    """One control group that counts memory."""

    folder: Path
    version: int

    def processes(self) -> list[int]:
        """Processes in it; not those of groups below it."""
        return [int(line) for line in self._text("cgroup.procs").split()]

    def peak_mib(self) -> float | None:
        """Most memory that was in use, without what a read file left behind; None where nobody counts."""
        peak = self.peak_bytes()
        if peak is None:
            return None
        # Files that were read stay in memory as long as nobody needs it: no step asks for that.
        cached = self._count("memory.stat", "inactive_file" if self.version == 2 else "total_inactive_file")
        return round(max(0, peak - cached) / 2**20, 1)

    def peak_bytes(self) -> int | None:
        """Most memory that was in use since the group was made, files that were read included."""
        return self._number("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes")

    def kills(self) -> int:
        """How many of its processes the kernel has killed because memory ran out."""
        return self._count("memory.events" if self.version == 2 else "memory.oom_control", "oom_kill")

    def limit_mib(self) -> int | None:
        """Memory that it may use; None without a limit."""
        found = self._number("memory.max" if self.version == 2 else "memory.limit_in_bytes")
        return None if found is None or found // 2**20 >= _UNLIMITED_MIB else found // 2**20

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="ascii")
        except OSError:
            return ""

    def _number(self, name: str) -> int | None:
        text = self._text(name).strip()
        return int(text) if text.isdecimal() else None

    def _count(self, name: str, key: str) -> int:
        for line in self._text(name).splitlines():
            found, _, value = line.partition(" ")
            if found == key and value.strip().isdecimal():
                return int(value)
        return 0


def own_group() -> Group | None:
    """Group of this process; None where no group counts memory."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    parts = [line.split(":", 2) for line in lines]
    for _, controllers, path in parts:
        if "memory" in controllers.split(","):
            group = Group(_MOUNT / "memory" / path.lstrip("/"), 1)
            # In a container the host's path leads nowhere, and the group is the mounted one.
            return group if group.folder.is_dir() else Group(_MOUNT / "memory", 1)
    for number, controllers, path in parts:
        if number == "0" and not controllers:
            group = Group(_MOUNT / path.lstrip("/"), 2)
            return group if group.folder.is_dir() else Group(_MOUNT, 2)
    return None


def is_alone(group: Group) -> bool:
    """Say whether all processes of this process's group descend from it, or it from them."""
    processes = set(group.processes())
    if len(processes) > _MOST:
        return False
    parents = {pid: _parent(pid) for pid in processes}
    return all(
        _descends(pid, os.getpid(), parents) or _descends(os.getpid(), pid, parents) for pid in processes
    )


_MOST = 64


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        if pid == ancestor:
            return True
        pid = parents[pid]
    return pid == ancestor


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])  # the name before it may hold anything


def enter(memory_mib: int) -> Group | None:
    """Put this process into a new group with so much memory; None where no group may be made.

    Whoever started the process calls `leave` when it has ended.
    """
    group = _of_process(os.getpid())
    if group is None:
        return None
    try:
        group.folder.mkdir()
        size = str(memory_mib * 2**20)
        if group.version == 2:
            _write(group, "memory.max", size)
            with suppress(OSError):  # there is none without swap
                _write(group, "memory.swap.max", "0")
        else:
            _write(group, "memory.limit_in_bytes", size)
            with suppress(OSError):
                _write(group, "memory.swappiness", "0")
        _write(group, "cgroup.procs", str(os.getpid()))
    except OSError:
        with suppress(OSError):
            group.folder.rmdir()
        return None
    return group


def leave(pid: int) -> tuple[int, float | None] | None:
    """Remove the group of a process that has ended.

    Returns
    -------
    How many processes were killed in it for want of memory, and its peak in MiB; None when it had none.
    """
    group = _of_process(pid)
    if group is None or not group.folder.is_dir():
        return None
    found = group.kills(), group.peak_mib()
    with suppress(OSError):  # what the task left running keeps it
        group.folder.rmdir()
    return found


def _of_process(pid: int) -> Group | None:
    home = own_group()
    if home is None:
        return None
    folder = home.folder
    if folder.name == f"airloom-{os.getpid()}":
        return home
    if home.version == 2 and folder != _MOUNT:
        folder = folder.parent  # a group with processes of its own may not limit groups below it
    return Group(folder / f"airloom-{pid}", home.version)


def _write(group: Group, name: str, text: str) -> None:
    (group.folder / name).write_text(text, encoding="ascii")

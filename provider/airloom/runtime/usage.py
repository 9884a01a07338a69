"""What an attempt used: peak memory, processor and wall time, from the kernel's counters."""

from __future__ import annotations

import resource
import sys
import time

from airloom.runtime import groups
from airloom.store.records import Usage

_KIB = 1024 if sys.platform != "darwin" else 1  # ru_maxrss counts KiB on Linux, bytes on macOS
_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class Meter:
    """Begins to measure when it is made."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._cpu = _cpu_s()
        self._group = groups.own_group()
        self._peak_before = 0 if self._group is None else self._group.peak_bytes() or 0
        self.input_bytes = 0

    def read(self) -> Usage:
        """Usage since the meter was made.

        The peak is the larger of what the process itself, and the largest of its children, held in
        memory; where the process is alone in a control group, as in a container, all of them together.
        """
        peak = max(peak_mib(resource.getrusage(who)) for who in _PROCESSES)
        group = groups.own_group()
        if group is not None and self._is_ours(group, group.peak_bytes() or 0):
            peak = max(peak, group.peak_mib() or 0.0)
        return Usage(
            peak_memory_mib=peak,
            cpu_s=round(_cpu_s() - self._cpu, 3),
            wall_s=round(time.monotonic() - self._wall, 3),
            input_bytes=self.input_bytes,
        )

    def _is_ours(self, group: groups.Group, peak: int) -> bool:
        # A group that is older than the attempt may have had its peak before: only a new one is ours.
        return (group != self._group or peak > self._peak_before) and groups.is_alone(group)


def process_usage() -> Usage:
    """Usage of this process and its children since it began; its wall time is not known, and 0."""
    peak = max(peak_mib(resource.getrusage(who)) for who in _PROCESSES)
    return Usage(peak_memory_mib=peak, cpu_s=round(_cpu_s(), 3), wall_s=0.0)


def peak_mib(used: resource.struct_rusage) -> float:
    """Peak resident memory that the kernel counted, in MiB."""
    return round(used.ru_maxrss * _KIB / 2**20, 1)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in _PROCESSES]
    return sum(item.ru_utime + item.ru_stime for item in used)

"""What an attempt used: peak memory, processor and wall time, from the kernel's counters."""

from __future__ import annotations

import resource
import sys
import time

from airloom.store.records import Usage

_KIB = 1024 if sys.platform != "darwin" else 1  # ru_maxrss counts KiB on Linux, bytes on macOS


class Meter:
    """Begins to measure when it is made."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._cpu = _cpu_s()

    def read(self) -> Usage:
        """Usage since the meter was made; the peak is that of the process and its children."""
        peak = max(
            resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return Usage(
            peak_memory_mib=round(peak * _KIB / 2**20, 1),
            cpu_s=round(_cpu_s() - self._cpu, 3),
            wall_s=round(time.monotonic() - self._wall, 3),
        )


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)

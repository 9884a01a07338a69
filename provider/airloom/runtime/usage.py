"""What an attempt used: peak memory, processor and wall time, from the kernel's counters."""

from __future__ import annotations

import resource
import sys
import time

from airloom.store.records import Usage

_KIB = 1024 if sys.platform != "darwin" else 1  # ru_maxrss counts KiB on Linux, bytes on macOS
_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class Meter:
    """Begins to measure when it is made."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._cpu = _cpu_s()

    def read(self) -> Usage:
        """Usage since the meter was made; the peak is that of the process and its children."""
        peak = max(peak_mib(resource.getrusage(who)) for who in _PROCESSES)
        return Usage(
            peak_memory_mib=peak,
            cpu_s=round(_cpu_s() - self._cpu, 3),
            wall_s=round(time.monotonic() - self._wall, 3),
        )


def peak_mib(used: resource.struct_rusage) -> float:
    """Peak resident memory that the kernel counted, in MiB."""
    return round(used.ru_maxrss * _KIB / 2**20, 1)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in _PROCESSES]
    return sum(item.ru_utime + item.ru_stime for item in used)

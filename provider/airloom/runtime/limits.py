"""A step's memory is held to its size, on this machine as on AWS.

In a process of its own a step gets a control group where one can be made: the kernel counts what it
and all that it starts really use, and kills it when that is too much. Elsewhere the process may only
allocate so much (RLIMIT_DATA; Linux counts private writable memory since 4.7, getrlimit(2)), and more
raises MemoryError; what it starts is counted apart.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from airloom.runtime import groups

Limit = Literal["none", "group", "process"]


@contextmanager
def limited(limit: Limit, memory_mib: int | None) -> Iterator[None]:
    """Hold this process to so much memory; a control group it never leaves again."""
    if limit == "none" or memory_mib is None or (limit == "group" and groups.enter(memory_mib) is not None):
        yield
        return
    if sys.platform != "linux":
        yield  # macOS counts RLIMIT_DATA and keeps nobody to it
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory_mib * 2**20
    resource.setrlimit(
        resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )
    try:
        yield
    finally:
        # Saving what was set, and telling what happened, needs memory, too.
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def ran_out(limit: Limit) -> bool:
    """Say whether something that this step started was killed because the step's memory ran out."""
    group = groups.own_group() if limit == "group" else None
    return group is not None and group.folder.name.startswith("airloom-") and group.kills() > 0

"""Which sizes AWS Fargate offers; no import of the package's own table: a slip there must not hide here."""

from __future__ import annotations

# docs: Amazon ECS, "Task definition differences for Fargate", read 2026-11: lowest, highest, step in MiB.
_STEPS = {
    0.5: (1024, 4096, 1024),
    1.0: (2048, 8192, 1024),
    2.0: (4096, 16384, 1024),
    4.0: (8192, 30720, 1024),
    8.0: (16384, 61440, 4096),
    16.0: (32768, 122880, 8192),
}
_LISTED = {0.25: (512, 1024, 2048), 32.0: (61440, 122880, 249856)}


def offers(vcpus: float, memory_mib: int) -> bool:
    """Whether Fargate has this pair."""
    if vcpus in _LISTED:
        return memory_mib in _LISTED[vcpus]
    if vcpus not in _STEPS:
        return False
    lowest, highest, step = _STEPS[vcpus]
    return lowest <= memory_mib <= highest and memory_mib % step == 0

"""Values that are saved and loaded, and how a process looks at its own memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable

_STATUS = "/proc/self/status"


def values(kind: str) -> dict[str, object]:
    """Artifacts by name."""
    if kind == "ints":
        return {f"x{number}": number for number in range(10_000)}
    import numpy as np

    random = np.random.default_rng(0)
    if kind == "random":
        return {"x": random.random(64 << 20)}
    if kind == "compressible":
        return {"x": np.repeat(np.arange(64 << 10, dtype="f8"), 1 << 10)}
    if kind == "frame":
        import pandas as pd

        columns: dict[str, object] = {name: random.random(2_500_000) for name in "abcd"}
        return {"x": pd.DataFrame(columns | {"e": np.arange(2_500_000)})}
    raise ValueError(kind)


def preload(kind: str) -> None:
    """Import what the values are of, so that this is not measured."""
    if kind != "ints":
        import numpy as np  # noqa: F401
    if kind == "frame":
        import pandas as pd  # noqa: F401


def read(value: object) -> float:
    """Look at every number of a value: a lazy load has to load."""
    total = value.sum()  # type: ignore[attr-defined]
    return float(total.sum() if hasattr(total, "sum") else total)


def measured(work: Callable[[], object]) -> None:
    """Do the work; print the seconds that it took and the peak of the process's memory, as JSON."""
    _forget_peak()
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    print(json.dumps({"wall": took, "peak_mib": _peak_mib()}))


def _forget_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as out:
            out.write("5")
    except OSError:
        pass


def _peak_mib() -> float:
    try:
        with open(_STATUS) as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20

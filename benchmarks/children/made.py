"""Values that are saved and loaded, and how a process looks at its own memory."""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping

_STATUS = "/proc/self/status"


def values(kind: str) -> dict[str, object]:
    """Artifacts by name."""
    if kind == "ints":
        return {f"x{number}": number for number in range(10_000)}
    import numpy as np

    rng = np.random.default_rng(0)
    if kind == "random":
        return {"x": rng.random(64 << 20)}
    if kind == "compressible":
        return {"x": np.repeat(np.arange(64 << 10, dtype="f8"), 1 << 10)}
    if kind == "frame":
        import pandas as pd

        columns: dict[str, object] = {name: rng.random(2_500_000) for name in "abcd"}
        return {"x": pd.DataFrame(columns | {"e": np.arange(2_500_000)})}
    if kind in ("texts", "objects"):
        import pandas as pd

        names = pd.Series([f"name {number}" for number in range(1_000_000)])
        return {"x": pd.DataFrame({"name": names.astype(object) if kind == "objects" else names})}
    raise ValueError(kind)


def preload(kind: str) -> None:
    """Import what the values are of, so that this is not measured."""
    if kind != "ints":
        import numpy as np  # noqa: F401
    if kind in ("frame", "texts", "objects"):
        import pandas as pd  # noqa: F401


def read(value: object) -> float:
    """Look at every number of a value, or the length of every text: a lazy load has to load."""
    if list(getattr(value, "columns", ())) == ["name"]:
        value = value["name"].str.len()  # type: ignore[index]
    total = value.sum()  # type: ignore[attr-defined]
    return float(total.sum() if hasattr(total, "sum") else total)


def objects(count: int) -> dict[str, bytes]:
    """Objects of 1 MiB by key, no two alike; the same each time."""
    return {f"{number:04}": random.Random(number).randbytes(1 << 20) for number in range(count)}


def use(endpoint: str) -> None:
    """Let whatever speaks to S3 speak to this server."""
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "METAFLOW_S3_ENDPOINT_URL": endpoint,
        "AIRLOOM_STORE_ENDPOINT": endpoint,
        "AIRLOOM_STORE_REGION": "us-east-1",
    }


def measured(work: Callable[[], Mapping[str, float] | None], folder: str | None = None) -> None:
    """Do the work; print as JSON what it took.

    ``wall`` in seconds, ``peak_mib`` the peak of the process's memory, ``files`` how many are below
    the folder afterwards, and what the work itself gives.
    """
    _forget_peak()
    began = time.perf_counter()
    more = work()
    took = time.perf_counter() - began
    answer = {"wall": took, "peak_mib": _peak_mib(), **(more or {})}
    if folder is not None:
        answer["files"] = sum(len(names) for _, _, names in os.walk(folder))
    print(json.dumps(answer))


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

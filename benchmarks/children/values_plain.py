"""Write or read an array's bytes and nothing more: ``values_plain.py save|load KIND FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import made


def save(kind: str, folder: str) -> None:
    """The memory of the array, into one file."""
    array = made.values(kind)["x"]

    def work() -> None:
        with Path(folder, "plain").open("wb", buffering=0) as out:
            rest = memoryview(array).cast("B")  # type: ignore[arg-type]
            while rest:
                rest = rest[out.write(rest) :]

    made.measured(work)


def load(kind: str, folder: str) -> None:
    """The same file as an array again, read."""
    made.preload(kind)

    def work() -> None:
        import numpy as np

        made.read(np.fromfile(Path(folder, "plain"), dtype="f8"))

    made.measured(work)


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](*sys.argv[2:])

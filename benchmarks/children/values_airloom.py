"""Save or load values with Airloom's datastore: ``values_airloom.py save|load KIND FOLDER``."""

from __future__ import annotations

import sys
import time

import made

from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, DoneRecord, Outcome, Usage

_KEY = TaskKey("Bench", "1", "start", "0")
_TIME = "2026-01-01T00:00:00Z"


def save(kind: str, folder: str) -> None:
    """One attempt at a task: claimed, its artifacts saved, committed."""
    values = made.values(kind)

    def work() -> None:
        datastore = Datastore.open(Settings(datastore_root=folder))
        attempt = datastore.claim(_KEY, lambda _: BeginRecord(_TIME, "host", 1))
        records = datastore.save_artifacts(values)
        datastore.commit(_KEY, attempt, DoneRecord(_TIME, records, Outcome(), Usage(0, 0, 0)))

    made.measured(work, folder)


def load(kind: str, folder: str) -> None:
    """All artifacts of the task, each of them read."""
    made.preload(kind)

    def work() -> dict[str, float]:
        began = time.perf_counter()
        datastore = Datastore.open(Settings(datastore_root=folder))
        found = {
            name: datastore.load_artifact(record, name).value
            for name, record in datastore.done(_KEY).artifacts.items()
        }
        usable = time.perf_counter() - began
        if kind == "ints":
            assert sum(found.values()) == 49_995_000
        else:
            made.read(found["x"])
        return {"usable": usable}

    made.measured(work)


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](*sys.argv[2:])

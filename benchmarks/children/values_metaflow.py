"""Save or load values with Metaflow's datastore: ``values_metaflow.py save|load KIND FOLDER``."""

from __future__ import annotations

import sys

import made
from metaflow.datastore import FlowDataStore
from metaflow.plugins.datastores.local_storage import LocalStorage


def _flow(folder: str) -> FlowDataStore:
    return FlowDataStore("Bench", storage_impl=LocalStorage, ds_root=folder)


def save(kind: str, folder: str) -> None:
    """One attempt at a task: begun, its artifacts saved, done."""
    values = made.values(kind)

    def work() -> None:
        task = _flow(folder).get_task_datastore("1", "start", "1", attempt=0, mode="w")
        task.init_task()
        task.save_artifacts(values.items(), len_hint=len(values))
        task.done()

    made.measured(work, folder)


def load(kind: str, folder: str) -> None:
    """All artifacts of the task, each of them read."""
    made.preload(kind)

    def work() -> None:
        task = _flow(folder).get_task_datastore("1", "start", "1")
        found = dict(task.load_artifacts(sorted(name for name, _ in task.items())))
        if kind == "ints":
            assert sum(found.values()) == 49_995_000
        else:
            made.read(found["x"])

    made.measured(work)


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](*sys.argv[2:])

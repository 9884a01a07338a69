"""Read runs with Metaflow's client: ``runs_metaflow.py read COUNT``; the store is the environment's."""

from __future__ import annotations

import sys

import made
from metaflow import Flow, namespace


def read(count: str) -> None:
    """List all runs; ask each whether it succeeded."""
    namespace(None)

    def work() -> None:
        found = [run.successful for run in Flow("Hello")]
        assert len(found) == int(count)
        assert all(found)

    made.measured(work)


if __name__ == "__main__":
    {"read": read}[sys.argv[1]](sys.argv[2])

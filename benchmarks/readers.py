"""The client: what it costs to ask many runs whether they succeeded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import flows
from benchmarks.measure import Bench, Row, split, told, wall

_RUNS = 500


def successful(bench: Bench) -> Iterator[Row]:
    """One real run, copied 500 times; listed, and each asked once."""
    with bench.fresh() as store:
        for python, library in ((bench.ours, "airloom"), (bench.theirs, "metaflow")):
            file = flows.write(store / "flows", library, "Hello", flows.linear(2))
            home = store / library
            home.mkdir()
            extra = ["--no-pylint"] if library == "metaflow" else []
            wall([python, file, *extra, "run"], home)
        root = store / "airloom" / "airloom"
        _copy_runs(root / "flows" / "Hello" / "runs")
        told(bench.ours, "runs_airloom.py", store, "seed", root)
        _copy_runs(store / "metaflow" / ".metaflow" / "Hello")
        found = bench.pairs(
            7,
            lambda _: _seconds(bench.ours, "runs_airloom.py", store, root),
            lambda _: _seconds(bench.theirs, "runs_metaflow.py", store / "metaflow", _RUNS),
        )
    yield Row(f"`run.successful` of {_RUNS} runs", "Metaflow", "s", *split(found), target=0.1)


def _seconds(python: Path, script: str, home: Path, last: Path | int) -> float:
    return float(told(python, script, home, "read", str(last))["wall"])


def _copy_runs(folder: Path) -> None:
    """Copy the one run of a folder until there are 500, each under an id of its own in all its files."""
    (first,) = (entry for entry in folder.iterdir() if entry.name.isdecimal())
    for number in range(1, _RUNS):
        name = str(int(first.name) + number)
        copied = folder / name
        shutil.copytree(first, copied)
        for file in copied.rglob("*"):
            if file.is_file() and first.name.encode() in (data := file.read_bytes()):
                file.write_bytes(data.replace(first.name.encode(), name.encode()))

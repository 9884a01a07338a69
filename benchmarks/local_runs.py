"""Whole processes: an import, and flows of steps that do nothing, run on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import flows
from benchmarks.measure import Bench, Row, split, wall

_WORKERS = 2


def importing(bench: Bench) -> Iterator[Row]:
    """``import airloom``, with the interpreter's start."""
    found = bench.pairs(
        21,
        lambda home: wall([bench.ours, "-c", "import airloom"], home),
        lambda home: wall([bench.theirs, "-c", "import metaflow"], home),
    )
    yield Row("`python -c 'import ...'`", "Metaflow", "s", *split(found), target=1 / 3)


def hello(bench: Bench) -> Iterator[Row]:
    """Two steps, the whole process."""
    yield _compared(bench, "Hello", flows.linear(2), 11, 0.6, "`python hello.py run`, 2 steps")


def linear(bench: Bench) -> Iterator[Row]:
    """Ten steps, one after another."""
    yield _compared(bench, "Linear", flows.linear(10), 7, 0.2, "10 no-op steps in a row")


def foreach(bench: Bench) -> Iterator[Row]:
    """A foreach of 100."""
    what = f"foreach of 100 no-ops, `--max-workers {_WORKERS}`"
    yield _compared(bench, "Wide", flows.foreach(100), 5, 0.1, what, "--max-workers", str(_WORKERS))


def nested(bench: Bench) -> Iterator[Row]:
    """A foreach in a foreach."""
    what = f"nested foreach: 36 leaves, 60 tasks, `--max-workers {_WORKERS}`"
    yield _compared(bench, "Nested", flows.nested(), 5, 0.1, what, "--max-workers", str(_WORKERS))


def thousand(bench: Bench) -> Iterator[Row]:
    """What a task more costs a worker: a foreach of 1,000 less one of a single item."""
    workers = os.cpu_count() or 1
    options = ("--max-workers", str(workers))
    with bench.fresh() as folder:
        wide = _ours(bench, flows.write(folder, "airloom", "Thousand", flows.foreach(1000)), *options)
        single = _ours(bench, flows.write(folder / "single", "airloom", "One", flows.foreach(1)), *options)
        found = bench.pairs(5, wide, single)
    took = [(all_of_them - one) * workers / 999 for all_of_them, one in found]
    what = f"foreach of 1,000 no-ops: a task more, a worker ({workers} workers)"
    yield Row(what, "", "s", took, target=0.010, kind="absolute")


def _compared(
    bench: Bench, name: str, steps: list[tuple[str, str]], usual: int, target: float, what: str, *options: str
) -> Row:
    with bench.fresh() as folder:
        ours = flows.write(folder, "airloom", name, steps)
        theirs = flows.write(folder, "metaflow", name, steps)
        # Metaflow lints with pylint where that is installed: that is not what is compared.
        found = bench.pairs(
            usual,
            _ours(bench, ours, *options),
            partial(wall, [bench.theirs, theirs, "--no-pylint", "run", *options]),
        )
    return Row(what, "Metaflow", "s", *split(found), target=target)


def _ours(bench: Bench, file: Path, *options: str) -> Callable[[Path], float]:
    return partial(wall, [bench.ours, file, "run", *options])

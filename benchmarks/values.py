"""Artifacts saved and loaded through each side's own datastore, each time in a fresh process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Row, Unit, split, told

_Answers = Mapping[str, Mapping[str, Any]]


def random(bench: Bench) -> Iterator[Row]:
    """512 MiB that do not shrink; also beside a file of the same bytes."""
    yield from _compared(bench, "random", "512 MiB random float64", 0.03)
    yield from _beside_plain(bench, "512 MiB random float64", 2.0)


def compressible(bench: Bench) -> Iterator[Row]:
    """512 MiB that shrink well."""
    yield from _compared(bench, "compressible", "512 MiB compressible float64", 0.3)


def ints(bench: Bench) -> Iterator[Row]:
    """Many small artifacts of one task."""
    yield from _compared(bench, "ints", "10,000 small ints", 0.05)


def frame(bench: Bench) -> Iterator[Row]:
    """A data frame of pandas."""
    yield from _compared(bench, "frame", "100 MB data frame", 0.15)


def _both(python: Path, script: str, kind: str, folder: Path) -> _Answers:
    return {verb: told(python, script, folder, verb, kind, folder) for verb in ("save", "load")}


def _compared(bench: Bench, kind: str, what: str, target: float) -> Iterator[Row]:
    found = bench.pairs(
        3,
        lambda folder: _both(bench.ours, "values_airloom.py", kind, folder),
        lambda folder: _both(bench.theirs, "values_metaflow.py", kind, folder),
    )
    for verb in ("save", "load"):
        yield _row(found, verb, "wall", f"{verb} {what}", "Metaflow", target)
        yield _row(found, verb, "peak_mib", f"{verb} {what}: peak memory", "Metaflow", None)


def _beside_plain(bench: Bench, what: str, target: float) -> Iterator[Row]:
    # The same interpreter, the same disk: what a save costs more than its bytes.
    found = bench.pairs(
        5,
        lambda folder: _both(bench.ours, "values_airloom.py", "random", folder),
        lambda folder: _both(bench.ours, "values_plain.py", "random", folder),
    )
    yield _row(found, "save", "wall", f"save {what}", "plain write", target)
    yield _row(found, "load", "wall", f"load {what}", "plain read", target)


def _row(
    pairs: Sequence[tuple[_Answers, _Answers]],
    verb: str,
    key: str,
    what: str,
    peer: str,
    target: float | None,
) -> Row:
    unit: Unit = "s" if key == "wall" else "MiB"
    sides = split([(float(a[verb][key]), float(b[verb][key])) for a, b in pairs])
    return Row(what, peer, unit, *sides, target=target)

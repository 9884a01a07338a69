"""Artifacts saved and loaded through each side's own datastore, each time in a fresh process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Bench, Row, Unit, split, told

_Answers = Mapping[str, Mapping[str, Any]]

_ARRAY_MIB = 512
_USABLE_S = 0.05
_FILES = 19


def random(bench: Bench) -> Iterator[Row]:
    """512 MiB that do not shrink; also beside a file of the same bytes."""
    what = f"{_ARRAY_MIB} MiB random float64"
    found = _pairs(bench, "random", 3)
    yield _row(found, "save", "wall", f"save {what}", "Metaflow", 0.03)
    yield _row(found, "load", "wall", f"load {what}, all of it read", "Metaflow", None)
    yield from _peaks(found, what, 1.15 * _ARRAY_MIB + 100)
    # The same interpreter, the same disk: what a save costs more than its bytes.
    floor = bench.pairs(
        5,
        lambda folder: _both(bench.ours, "values_airloom.py", "random", folder),
        lambda folder: _both(bench.ours, "values_plain.py", "random", folder),
    )
    yield _row(floor, "save", "wall", f"save {what}", "plain write", 2.0)
    usable = [float(ours["load"]["usable"]) for ours, _ in floor]
    yield Row(f"load {what}: until it can be used", "", "s", usable, target=_USABLE_S, kind="absolute")
    yield _row(floor, "load", "wall", f"load {what}, all of it read", "plain read", 1.2)


def compressible(bench: Bench) -> Iterator[Row]:
    """512 MiB that shrink well."""
    yield from _compared(bench, "compressible", f"{_ARRAY_MIB} MiB compressible float64", 0.3, 0.3)


def ints(bench: Bench) -> Iterator[Row]:
    """Many small artifacts of one task."""
    what = "10,000 small ints"
    found = _pairs(bench, "ints", 5)
    yield _row(found, "save", "wall", f"save {what}", "Metaflow", 0.05)
    yield _row(found, "load", "wall", f"load {what}", "Metaflow", 0.2)
    yield from _peaks(found, what, None)
    ours, theirs = split([(float(a["save"]["files"]), float(b["save"]["files"])) for a, b in found])
    yield Row(f"save {what}: files", "Metaflow", "files", ours, theirs, target=_FILES, kind="absolute")


def frame(bench: Bench) -> Iterator[Row]:
    """A data frame of numbers."""
    yield from _compared(bench, "frame", "100 MB data frame of numbers", 0.15, 0.15)


def texts(bench: Bench) -> Iterator[Row]:
    """Data frames of texts: as pandas keeps them today, and as Python's own objects."""
    yield from _compared(bench, "texts", "data frame of 1 million texts (str)", None, None)
    yield from _compared(bench, "objects", "data frame of 1 million texts (object)", None, None)


def _both(python: Path, script: str, kind: str, folder: Path) -> _Answers:
    return {verb: told(python, script, folder, verb, kind, folder) for verb in ("save", "load")}


def _pairs(bench: Bench, kind: str, usual: int) -> list[tuple[_Answers, _Answers]]:
    return bench.pairs(
        usual,
        lambda folder: _both(bench.ours, "values_airloom.py", kind, folder),
        lambda folder: _both(bench.theirs, "values_metaflow.py", kind, folder),
    )


def _compared(bench: Bench, kind: str, what: str, save: float | None, load: float | None) -> Iterator[Row]:
    found = _pairs(bench, kind, 3)
    yield _row(found, "save", "wall", f"save {what}", "Metaflow", save)
    yield _row(found, "load", "wall", f"load {what}", "Metaflow", load)
    yield from _peaks(found, what, None)


def _peaks(found: Sequence[tuple[_Answers, _Answers]], what: str, most: float | None) -> Iterator[Row]:
    for verb in ("save", "load"):
        row = _row(found, verb, "peak_mib", f"{verb} {what}: peak memory", "Metaflow", None)
        yield row
        if most is not None and verb == "save":
            yield Row(row.what, "", "MiB", row.ours, target=most, kind="absolute")


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

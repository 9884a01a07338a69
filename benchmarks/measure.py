"""Processes in a clean environment, pairs of measurements, and the rows that come of them."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

CHILDREN = Path(__file__).parent / "children"

Unit = Literal["s", "MiB", "files"]
Kind = Literal["ratio", "absolute", "difference"]

# What must not differ between the two sides, nor between two users of the benchmarks.
_FOREIGN = ("PYTHON", "AIRLOOM_", "METAFLOW_", "AIRFLOW_", "_AIRFLOW")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``ours`` and ``theirs`` are of equal length, the i-th values measured one after the other.
    ``kind`` says what the target is for: the ratio of each pair, our own value, or the
    difference of each pair.
    """

    what: str
    peer: str
    unit: Unit
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    target: float | None = None
    kind: Kind = "ratio"

    @property
    def compared(self) -> list[float]:
        """What the target is for, a value a pair."""
        if self.kind == "absolute":
            return list(self.ours)
        pairs = zip(self.ours, self.theirs, strict=True)
        return [a / b if self.kind == "ratio" else a - b for a, b in pairs]

    @property
    def reached(self) -> bool | None:
        """Whether the median is within the target; None when there is none."""
        return None if self.target is None else statistics.median(self.compared) <= self.target


class ChildFailed(Exception):
    """A measured process ended with an error: its time says nothing."""


@dataclass(frozen=True)
class Bench:
    """What all cases share.

    Parameters
    ----------
    ours
        Interpreter that has Airloom.
    peer
        Gives the interpreter that has Metaflow, NumPy and pandas; asked only by a case that needs it.
    folder
        For everything that is written while measuring; on the disk that is to be measured.
    repetitions
        Pairs that count; None for each case's own number.
    """

    ours: Path
    peer: Callable[[], Path]
    folder: Path
    repetitions: int | None = None

    @cached_property
    def theirs(self) -> Path:
        """Interpreter that has the peer."""
        return self.peer().absolute()

    def times(self, usual: int) -> int:
        """How many pairs a case measures that usually measures so many."""
        return usual if self.repetitions is None else self.repetitions

    def pairs(
        self, usual: int, ours: Callable[[Path], Any], theirs: Callable[[Path], Any]
    ) -> list[tuple[Any, Any]]:
        """Measure both sides in turn, A B A B, each time with a folder that is empty before and gone after.

        The first pair warms the caches up (byte code, files) and does not count.
        """
        found = []
        for number in range(self.times(usual) + 1):
            pair = tuple(self._measured(side) for side in (ours, theirs))
            if number:
                found.append((pair[0], pair[1]))
        return found

    def values(self, usual: int, ours: Callable[[Path], Any]) -> list[Any]:
        """Measure one side only, after a first time that does not count."""
        return [self._measured(ours) for _ in range(self.times(usual) + 1)][1:]

    def _measured(self, side: Callable[[Path], Any]) -> Any:
        with self.fresh() as folder:
            # What was written before must not be written to the disk during this measurement.
            os.sync()
            value = side(folder)
        print(".", end="", file=sys.stderr, flush=True)
        return value

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """An empty folder that is gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="bench-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def environment(home: Path) -> dict[str, str]:
    """Environment of every measured process: byte code is kept, no settings of the user are read.

    Both sides keep their runs and artifacts in the folder ``home``.
    """
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN)}
    ours = {
        "HOME": str(home),
        "USER": "bench",
        "USERNAME": "bench",
        "METAFLOW_USER": "bench",
        "METAFLOW_HOME": str(home / "metaflow_home"),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home),
        "AIRLOOM_DATASTORE_ROOT": str(home / "airloom"),
    }
    return inherited | ours


def wall(command: Sequence[str | Path], home: Path) -> float:
    """Seconds from the start of a process to its end; what it prints is thrown away.

    Raises
    ------
    ChildFailed
        When it ends with an error, with the last that it printed.
    """
    with tempfile.TemporaryFile(dir=home) as printed:
        began = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in command],
            env=environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            check=False,
        )
        took = time.perf_counter() - began
        _check(done.returncode, command, printed.seek(0) or printed.read())
    return took


def told(python: Path, script: str, home: Path, *arguments: str | Path) -> Mapping[str, Any]:
    """What a script of `children` measured itself, in a fresh process: the JSON that it prints.

    Raises
    ------
    ChildFailed
        When it ends with an error, with the last that it printed.
    """
    command = [str(python), str(CHILDREN / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment(home), cwd=home, capture_output=True, check=False)
    _check(done.returncode, command, done.stderr)
    answer: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _check(status: int, command: Sequence[str | Path], printed: bytes) -> None:
    if status:
        tail = printed.decode("utf-8", "replace")[-3000:]
        shown = " ".join(map(str, command))
        raise ChildFailed(f"{shown} ended with status {status}:\n{tail}")


def split(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Separate pairs into the two sides that a `Row` asks for."""
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

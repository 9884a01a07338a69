"""``python -m benchmarks [names...]``: measure, and print the table."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.cases import CASES, GROUPS
from benchmarks.measure import Bench, Row
from benchmarks.peer import peer_python


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the named cases, or all; return 1 when one failed. A missed target is no failure."""
    options = _options(arguments)
    found: dict[str, list[Row] | str] = {}
    with tempfile.TemporaryDirectory(prefix="airloom-bench-", dir=options.folder) as folder:
        bench = Bench(
            Path(sys.executable), lambda: options.peer or peer_python(), Path(folder), options.repetitions
        )
        for name in options.names or CASES:
            began = time.monotonic()
            print(f"{name} ", end="", file=sys.stderr, flush=True)
            try:
                found[name] = list(CASES[name](bench))
            except Exception as error:
                traceback.print_exc()
                found[name] = type(error).__name__
            print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
    text = f"{report.table(found)}\n{report.machine()}\n"
    print(text)
    if options.write:
        report.write(text)
    return 1 if any(isinstance(rows, str) for rows in found.values()) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = f"any of {', '.join((*CASES, *GROUPS))}; else all"
    parser.add_argument("names", nargs="*", metavar="name", help=known)
    parser.add_argument("--repetitions", type=int, help="pairs a case, instead of its own number")
    parser.add_argument("--peer", type=Path, help="interpreter with the peer; else .venv-bench is made")
    parser.add_argument(
        "--folder", type=Path, help="on the disk to measure; else the system's for temporary files"
    )
    parser.add_argument("--write", action="store_true", help=f"put the table into {report.PAGE.name}, too")
    options = parser.parse_args(arguments)
    options.names = [case for name in options.names for case in GROUPS.get(name, (name,))]
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}: there are {', '.join(CASES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())

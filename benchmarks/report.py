"""The table, and its place in the documentation."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Row, Unit
from benchmarks.peer import REQUIREMENTS

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"
_HEAD = """\
| Case | Airloom | Peer | Peer's | Compared (smallest to largest) | Target | Reached | Pairs |
|---|---:|---|---:|---:|---:|---|---:|
"""


def table(found: Mapping[str, Sequence[Row] | str]) -> str:
    """Markdown table of all rows; of a case that failed, its name and why."""
    text = _HEAD
    for name, rows in found.items():
        if isinstance(rows, str):
            text += f"| {name} | failed: {rows} | | | | | | |\n"
            continue
        for row in rows:
            text += f"| {' | '.join(_cells(row))} |\n"
    return text


def machine() -> str:
    """What was measured on what, when."""
    load = os.getloadavg()[0]
    parts = [
        f"Measured {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"{os.cpu_count()} x {_processor()}, {_memory_gib():.0f} GiB",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
        f"Airloom {version('airflow-provider-airloom')}",
        f"Airflow {version('apache-airflow')}",
        ", ".join(REQUIREMENTS).replace("==", " "),
        f"load average {load:.1f} at the end",
    ]
    return "; ".join(parts) + "."


def write(text: str, page: Path = PAGE) -> None:
    """Put the table between the page's markers.

    Raises
    ------
    ValueError
        When the page has no markers.
    """
    before = page.read_text()
    head, found, rest = before.partition(_BEGIN)
    _, also, tail = rest.partition(_END)
    if not found or not also:
        raise ValueError(f"{page} has no lines {_BEGIN} and {_END}")
    page.write_text(f"{head}{_BEGIN}\n{text}{_END}{tail}")


def _cells(row: Row) -> list[str]:
    def shown(value: float) -> str:
        return f"{value:.3g}" if row.kind == "ratio" else _amount(value, row.unit)

    compared = row.compared
    middle, low, high = (
        shown(value) for value in (statistics.median(compared), min(compared), max(compared))
    )
    reached = {True: "yes", False: "**no**", None: ""}[row.reached]
    return [
        row.what,
        _amount(statistics.median(row.ours), row.unit),
        row.peer,
        _amount(statistics.median(row.theirs), row.unit) if row.theirs else "",
        f"{middle} ({low} to {high})",
        "" if row.target is None else f"<= {shown(row.target)}",
        reached,
        str(len(row.ours)),
    ]


def _amount(value: float, unit: Unit) -> str:
    if unit != "s":
        return f"{value:,.0f} {unit}"
    return f"{value:.2f} s" if abs(value) >= 1 else f"{value * 1000:.3g} ms"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30

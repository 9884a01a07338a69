"""The benchmarks run end to end; how fast anything is, is not a matter of tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]


def _benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_small_case_prints_its_rows(tmp_path: Path) -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    done = _benchmarks("--repetitions", "1", "--folder", str(tmp_path), "parse")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| generated DAG file of 50 tasks")]
    assert [row.split("|")[3].strip() for row in rows] == ["DAG by hand"] * 2
    assert not list(tmp_path.iterdir())


def test_an_unknown_case_is_refused_with_the_known_ones() -> None:
    done = _benchmarks("no_such_case")
    assert done.returncode == 2
    assert "no case no_such_case: there are import, hello" in done.stderr

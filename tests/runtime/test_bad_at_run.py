"""Every flow of tests/flows/bad_at_run fails as its head states, in the user's terms, and commits no task.

The head of a flow: ``# expect: text`` for what must be in the output, as often as needed, and
``# run: --name value`` for what is given on the command line. ``# defect: text`` tells what Airloom does
wrong there today: whoever mends it takes the line out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

BAD = sorted((Path(__file__).parents[1] / "flows" / "bad_at_run").glob("*.py"))
_OURS = re.compile(r'File "[^"]*(?:provider|site-packages)/airloom/')


def stated(path: Path, word: str) -> list[str]:
    return re.findall(rf"^# {word}: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def flows() -> list[ParameterSet]:
    return [
        pytest.param(
            path,
            id=path.stem,
            marks=[pytest.mark.xfail(reason=reason, strict=True) for reason in stated(path, "defect")],
        )
        for path in BAD
    ]


def run(path: Path, folder: Path) -> tuple[int, str]:
    """Run a flow in a folder, with the store ``store`` there; give the exit code and the output."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRLOOM_")}
    ended = subprocess.run(
        [sys.executable, str(path), "run", *shlex.split(" ".join(stated(path, "run")))],
        cwd=folder,
        env=environment | {"AIRLOOM_DATASTORE_ROOT": str(folder / "store")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout


def frames_above_the_users(path: Path, output: str) -> list[str]:
    """Airloom's frames before the first of the flow's file; behind it stands what the flow called."""
    before, *_ = output.partition(f'File "{path}", line')
    return [line for line in before.splitlines() if _OURS.search(line)]


@pytest.mark.parametrize("path", flows())
def test_flow_fails_as_it_states(path: Path, tmp_path: Path) -> None:
    code, output = run(path, tmp_path)
    assert code != 0, output
    expected = stated(path, "expect")
    assert expected
    for text in expected:
        assert text in output, f"did not print: {text}\nbut:\n{output}"
    assert frames_above_the_users(path, output) == [], output

    begun, failed, done = (
        {record.parent for record in (tmp_path / "store").rglob(name)}
        for name in ("begin.json", "failed.json", "done.json")
    )
    assert begun == failed | done
    assert not failed & done
    assert bool(failed) == bool(begun), output

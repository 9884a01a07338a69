"""The command line, run in this process through its own entry; and flows for it in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from airloom.cli.main import main


class Ended(NamedTuple):
    """How the program ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def airloom(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clean_imports: None,
) -> Callable[..., Ended]:
    """Run ``airloom`` in an empty working folder, whose store is ``.airloom``."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("AIRLOOM_", "METAFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(arguments)
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a flow's file: ``write("flow.py", "class F(FlowSpec): ...")``."""

    def put(name: str, text: str) -> Path:
        file = tmp_path / name
        head = "from airloom import FlowSpec, IncludeFile, JSONType, Parameter, retry, step, timeout\n\n"
        file.write_text(head + dedent(text) + '\nif __name__ == "__main__":\n    raise SystemExit\n')
        return file

    return put

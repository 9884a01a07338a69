"""DAG files in a DAG folder: whose they are, which DAG ids are taken there, and how one is replaced."""

from __future__ import annotations

import ast
import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airloom.compiler.seals import Seal, read_seal
from airloom.errors import DeployError


@dataclass(frozen=True, slots=True)
class DagFile:
    """A DAG file of Airloom's in a folder."""

    path: Path
    seal: Seal


def dag_files(folder: Path) -> list[DagFile]:
    """Find the DAG files of Airloom's below a folder, sorted by their paths.

    Raises
    ------
    DeployError
        When there is no such folder.
    """
    check_folder(folder)
    found = []
    for path, text in _python_files(folder):
        own = read_seal(text) if "irloom" in text else None
        if own is not None:
            found.append(DagFile(path, own))
    return found


def taken_by(folder: Path, dag_id: str, but: Path) -> Path | None:
    """Find another file below the folder that has a DAG of this id, as far as its text says it.

    An id that a file makes while it is parsed, or that a ``.airflowignore`` hides, is not known.
    """
    for path, text in _python_files(folder):
        if path == but or dag_id not in text:
            continue
        own = read_seal(text)
        if own.dag_id == dag_id if own is not None else dag_id in _dag_ids(text):
            return path
    return None


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not there.

    Raises
    ------
    DeployError
        When it is not.
    """
    if not folder.is_dir():
        raise DeployError(
            f"there is no folder {str(folder)!r}",
            where=str(folder),
            mend="give Airflow's DAG folder: `airflow config get-value core dags_folder`.",
        )


def write(file: Path, text: str) -> None:
    """Write a DAG file, or replace it, in one step.

    Raises
    ------
    DeployError
        When it cannot be written; nothing is left then.
    """
    # A name that Airflow does not take for a DAG, in the same folder: the rename is one step.
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=file.parent, prefix=f".{file.stem}-", suffix=".tmp", delete=False
        ) as opened:
            temporary = opened.name
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise DeployError(
            f"the DAG file cannot be written: {error}",
            where=str(file),
            mend="give a folder that can be written to.",
        ) from error


def _python_files(folder: Path) -> Iterator[tuple[Path, str]]:
    seen: set[str] = set()
    for base, folders, names in os.walk(folder, followlinks=True):  # as Airflow does
        real = os.path.realpath(base)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            if not name.endswith(".py") or name.startswith("."):
                continue
            path = Path(base, name)
            # A file of somebody else that cannot be read is Airflow's to tell about.
            with contextlib.suppress(OSError, UnicodeDecodeError):
                yield path, path.read_text(encoding="utf-8")


def _dag_ids(text: str) -> set[str]:
    """Ids of the DAGs that a file of somebody's own names in plain text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in ("DAG", "dag"):
            given = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "dag_id")]
            found |= {one.value for one in given if isinstance(one, ast.Constant)}
        elif isinstance(node, ast.FunctionDef):
            found |= {node.name for one in node.decorator_list if _names_function(one)}
    return {one for one in found if isinstance(one, str)}


def _names_function(decorator: ast.expr) -> bool:
    """Whether a decorator makes a DAG that is called by its function."""
    if isinstance(decorator, ast.Call):
        said = bool(decorator.args) or any(one.arg == "dag_id" for one in decorator.keywords)
        return _name(decorator.func) == "dag" and not said
    return _name(decorator) == "dag"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")

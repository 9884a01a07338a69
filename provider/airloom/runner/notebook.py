"""`NBRunner`: a flow that stands in a notebook's cell, run from the next one."""

from __future__ import annotations

import ast
import linecache
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airloom.client import Run
from airloom.errors import FlowError
from airloom.flow.spec import FlowSpec
from airloom.runner.runs import Runner


class NBRunner(Runner):
    """Runs a flow class of a notebook.

    The cell in which the class stands is written to a file: it has to import what the flow uses.
    Of the cell's code imports, functions, classes and assignments are kept; what follows the
    class, and calls that stand alone, are not.

    Parameters
    ----------
    flow
        The class.
    show_output, profile, env, file_read_timeout, top_level
        As for `Runner`.
    base_dir
        Folder for the file, when modules beside the notebook are to go with the flow; a temporary
        one when None.
    """

    def __init__(
        self,
        flow: type[FlowSpec],
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        base_dir: str | Path | None = None,
        file_read_timeout: float = 3600,
        **top_level: Any,
    ) -> None:
        text = cell_of(flow)
        self._folder = None if base_dir is not None else Path(tempfile.mkdtemp(prefix="airloom-cell-"))
        folder = Path(base_dir or self._folder or "")
        self._file = folder / f"{flow.__name__.lower()}_of_notebook.py"
        self._file.write_text(text, encoding="utf-8")
        super().__init__(self._file, show_output, profile, env, None, file_read_timeout, **top_level)

    def nbrun(self, **parameters: Any) -> Run:
        """Run the flow, wait for its end, and return the run for the client. See `Runner.run`."""
        return self.run(**parameters).run

    def nbresume(
        self, step_to_rerun: str | None = None, origin_run_id: str | None = None, **options: Any
    ) -> Run:
        """Resume a run, wait for the end of the new one, and return it. See `Runner.resume`."""
        return self.resume(step_to_rerun, origin_run_id, **options).run

    def cleanup(self) -> None:
        """End the runs that have not ended, and delete the file."""
        super().cleanup()
        self._file.unlink(missing_ok=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def cell_of(flow: type[FlowSpec]) -> str:
    """Text of a flow's file, from the cell that defines the class.

    Raises
    ------
    FlowError
        When the text is not known any more.
    """
    codes = (getattr(value, "__code__", None) for value in vars(flow).values())
    file = next((code.co_filename for code in codes if code is not None), None)
    lines = [] if file is None else linecache.getlines(file)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        tree = ast.Module([], [])
    ours = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == flow.__name__]
    if not ours:
        raise FlowError(
            f"the text of the flow {flow.__name__} cannot be found",
            where=file or flow.__module__,
            mend="run the cell with the class again, or write it into a file and use Runner.",
        )
    # At their lines, so that a traceback shows those of the cell.
    kept = ["\n"] * len(lines)
    for first, last in _kept(tree, ours[-1]):
        kept[first - 1 : last] = lines[first - 1 : last]
    return "".join(kept).rstrip() + f'\n\n\nif __name__ == "__main__":\n    {flow.__name__}()\n'


def _kept(tree: ast.Module, flow: ast.ClassDef) -> Iterator[tuple[int, int]]:
    """Lines, from and to, of the statements that the flow may need."""
    for node in tree.body:
        if isinstance(node, (ast.Expr, ast.For, ast.While, ast.Delete)) or _uses_runner(node):
            continue
        decorators = getattr(node, "decorator_list", [])
        yield min([node.lineno, *(one.lineno for one in decorators)]), node.end_lineno or node.lineno
        if node is flow:
            return


def _uses_runner(node: ast.stmt) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return False
    names = {getattr(one, "id", getattr(one, "attr", None)) for one in ast.walk(node)}
    return bool(names & {"NBRunner", "Runner", "get_ipython"})

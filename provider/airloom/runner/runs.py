"""`Runner` starts runs on this machine, `ExecutingRun` is one of them."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from airloom import settings as settings_of
from airloom.client import Run
from airloom.errors import FlowError, NotFound, ParameterError, Place, SettingsError
from airloom.runner.program import Program, options, python_of
from airloom.settings import variable

if TYPE_CHECKING:
    from typing_extensions import Self

_POLL_S = 0.05
_RUN_OPTIONS = ("max_workers", "tags", "debug")


class ExecutingRun:
    """A run that was started; as a context manager it is ended at the end of the block."""

    def __init__(self, program: Program, flow_file: Path, folder: Path, datastore_root: str) -> None:
        self._program = program
        self._flow_file = flow_file
        self._folder = folder
        self._datastore_root = datastore_root
        self._timed_out = False
        self._run: Run | None = None

    def __enter__(self) -> ExecutingRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    async def __aenter__(self) -> ExecutingRun:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.terminate)

    @property
    def command_obj(self) -> Program:
        """The program that runs the flow."""
        return self._program

    @property
    def run(self) -> Run:
        """The run, for the client.

        Raises
        ------
        FlowError
            When it has not begun: the flow, a parameter or the store is not in order, or it has
            only just been started.
        """
        if self._run is None:
            self._run = self._found()
        if self._run is None:
            raise self._not_begun()
        return self._run

    def _found(self) -> Run | None:
        try:
            run = (self._folder / "run_id").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        for flow in flows_of(self._flow_file):
            try:
                return Run(f"{flow}/{run}", datastore=self._datastore_root, _namespace_check=False)
            except NotFound:
                continue
        return None

    def _not_begun(self) -> FlowError:
        if self._program.returncode is None:
            what, mend = (
                "has not begun yet",
                "wait a moment: `await` it, or use run() in place of async_run().",
            )
        else:
            said = "\n".join(self._program.lines["stderr"][-20:])
            what = f"did not begin; the program ended with {self._program.returncode}:\n{said}"
            mend = "mend what it says."
        return FlowError(
            f"the run of {self._flow_file.name} {what}", where=Place(str(self._flow_file)), mend=mend
        )

    @property
    def status(self) -> str:
        """``running``, ``successful``, ``failed``, or ``timeout`` when `wait` ended it."""
        if self._timed_out:
            return "timeout"
        code = self._program.returncode
        return "running" if code is None else "successful" if code == 0 else "failed"

    @property
    def returncode(self) -> int | None:
        """Exit code of the program; None while it runs."""
        return self._program.returncode

    @property
    def stdout(self) -> str:
        """What the program has printed to standard output so far."""
        return self._program.text("stdout")

    @property
    def stderr(self) -> str:
        """What the program has printed to standard error so far."""
        return self._program.text("stderr")

    async def stream_log(self, stream: str, position: int | None = None) -> AsyncIterator[tuple[int, str]]:
        """Give the lines that the program prints, as it prints them, until it ends.

        Parameters
        ----------
        stream
            ``stdout`` or ``stderr``.
        position
            Go on from here: the number that came with the last line that was read.

        Returns
        -------
        Pairs of a position and a line.
        """
        lines, read = self._program.output(stream), position or 0
        while True:
            ended = self._program.ended  # before the look at the lines: then these are all
            while read < len(lines):
                read += 1
                yield read, lines[read - 1]
            if ended:
                return
            await asyncio.sleep(_POLL_S)

    async def wait(self, timeout: float | None = None, stream: str | None = None) -> ExecutingRun:
        """Wait for the end of the run.

        Parameters
        ----------
        timeout
            Seconds after which the run is ended, and its status is ``timeout``.
        stream
            Print this stream meanwhile.
        """
        printing = None if stream is None else asyncio.create_task(self._print(stream))
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._program.ended:
            if deadline is not None and time.monotonic() > deadline:
                self._timed_out = True
                break
            await asyncio.sleep(_POLL_S)
        await asyncio.to_thread(self.terminate)
        if printing is not None:
            await printing
        return self

    async def _print(self, stream: str) -> None:
        async for _, line in self.stream_log(stream):
            print(line)  # noqa: T201 - it is asked for

    def terminate(self) -> None:
        """End the run as Ctrl-C does: it can be resumed. Nothing happens to one that has ended."""
        self._program.end()
        self._forget()

    def _forget(self) -> None:
        # What was read from it is kept here; the parameters may be nobody else's business.
        with contextlib.suppress(FlowError):
            _ = self.run
        shutil.rmtree(self._folder, ignore_errors=True)

    def _checked(self) -> ExecutingRun:
        _ = self.run
        return self

    def wait_here(self) -> ExecutingRun:
        """Wait for the end of the run in this thread; Ctrl-C ends the run, too.

        Raises
        ------
        FlowError
            When it did not begin.
        """
        try:
            self._program.wait()
        except BaseException:
            self.terminate()
            raise
        self._forget()
        return self._checked()

    async def begun(self, timeout_s: float) -> ExecutingRun:
        """Wait until the run has begun.

        Raises
        ------
        FlowError
            When it does not, or not within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self._program.ended
            self._run = self._found()
            if self._run is not None:
                return self
            if ended or time.monotonic() > deadline:
                error = self._not_begun()
                await asyncio.to_thread(self.terminate)
                raise error
            await asyncio.sleep(_POLL_S)

    def __repr__(self) -> str:
        return f"ExecutingRun({self._flow_file.name!r}, {self.status})"


class Runner:
    """Runs a flow's file in a program of its own.

    Parameters
    ----------
    flow_file
        The flow's file.
    show_output
        Pass on what the run prints.
    profile
        Not offered; None.
    env
        Environment variables of the run, besides those of this process.
    cwd
        Working folder of the run; this one when None.
    file_read_timeout
        How many seconds a run may take to begin.
    top_level
        Options that stand before the verb: ``datastore_root="/mnt/store"``, ``quiet=True``,
        ``config={"name": "path"}``, ``with_=["retry:times=2"]``.
    """

    def __init__(
        self,
        flow_file: str | Path,
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        file_read_timeout: float = 3600,
        **top_level: Any,
    ) -> None:
        if profile is not None:
            raise SettingsError(
                f"there is no profile {profile!r}: Airloom has no profiles",
                where="Runner(profile=...)",
                mend=f"give settings by env={{'{variable('datastore_root')}': ...}} or as options.",
            )
        self.flow_file = existing(flow_file)
        self.show_output = show_output
        self._env = dict(env or {})
        self._cwd = None if cwd is None else Path(cwd)
        self._begins_within_s = file_read_timeout
        self._top_level = top_level
        self._started: list[ExecutingRun] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.cleanup)

    def cleanup(self) -> None:
        """End the runs that this object has started and that have not ended."""
        for started in self._started:
            started.terminate()

    def run(self, **parameters: Any) -> ExecutingRun:
        """Run the flow, and wait for its end.

        Parameters
        ----------
        parameters
            Parameters of the flow by name, of a file its path; besides them ``max_workers`` and
            ``tags``.

        Raises
        ------
        FlowError
            When the run did not begin, with what the program said.
        ParameterError
            When a value is not JSON.
        """
        return self._start("run", [], parameters).wait_here()

    def resume(
        self, step_to_rerun: str | None = None, origin_run_id: str | None = None, **options_: Any
    ) -> ExecutingRun:
        """Resume a run, and wait for the end of the new one.

        Parameters
        ----------
        step_to_rerun
            Run this step and all after it again; otherwise what has not finished.
        origin_run_id
            The run to take tasks over from; the newest of this user when None.

        Raises
        ------
        FlowError
            When the run did not begin, with what the program said.
        """
        return self._start("resume", _resumed(step_to_rerun, origin_run_id), options_).wait_here()

    async def async_run(self, **parameters: Any) -> ExecutingRun:
        """Run the flow; return when it has begun. See `run`."""
        return await self._start("run", [], parameters).begun(self._begins_within_s)

    async def async_resume(
        self, step_to_rerun: str | None = None, origin_run_id: str | None = None, **options_: Any
    ) -> ExecutingRun:
        """Resume a run; return when the new one has begun. See `resume`."""
        started = self._start("resume", _resumed(step_to_rerun, origin_run_id), options_)
        return await started.begun(self._begins_within_s)

    def _start(self, verb: str, operands: list[str], given: Mapping[str, Any]) -> ExecutingRun:
        folder = Path(tempfile.mkdtemp(prefix="airloom-runner-"))
        try:
            chosen = {name: given[name] for name in _RUN_OPTIONS if name in given}
            chosen["tag"] = chosen.pop("tags", None)
            parameters = {name: value for name, value in given.items() if name not in _RUN_OPTIONS}
            if verb == "run" and parameters:
                chosen.setdefault(
                    "params_file", _written(folder / "parameters.json", parameters, self.flow_file)
                )
            else:
                chosen |= parameters
            command = [
                *python_of(self.flow_file, self._top_level),
                verb,
                *operands,
                *options({**chosen, "run_id_file": folder / "run_id"}),
            ]
            program = Program(command, env=self._env, cwd=self._cwd, show=self.show_output)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        root = datastore_of(self._top_level, self._env, self._cwd)
        started = ExecutingRun(program, self.flow_file, folder, root)
        self._started.append(started)
        return started


def _resumed(step: str | None, origin: str | None) -> list[str]:
    return [*([] if step is None else [step]), *([] if origin is None else ["--origin-run-id", origin])]


def _written(file: Path, parameters: Mapping[str, Any], flow_file: Path) -> Path:
    """Write parameters to a file of this user's only; a command line is everybody's to read."""
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in parameters.items()}
    try:
        file.write_text(json.dumps(plain), encoding="utf-8")
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"a parameter's value is not JSON: {error}",
            where=str(flow_file),
            mend="give numbers, texts, True, False, lists and dicts, or a file's path.",
        ) from None
    return file


def existing(file: str | Path) -> Path:
    """Absolute path of a flow's file.

    Raises
    ------
    FlowError
        When there is none.
    """
    path = Path(file).absolute()
    if not path.is_file():
        raise FlowError(
            "there is no such file", where=Place(str(path)), mend="give the path of a flow's file."
        )
    return path


def datastore_of(top_level: Mapping[str, Any], env: Mapping[str, str], cwd: Path | None) -> str:
    """Root of the datastore that a program with these options, variables and folder uses."""
    named = top_level.get("datastore_root") or env.get(variable("datastore_root"))
    root = settings_of.load({"datastore_root": None if named is None else str(named)}).datastore_root
    if "://" in root:
        return root
    return str((cwd or Path()).absolute() / Path(root).expanduser())


def flows_of(file: Path) -> Iterator[str]:
    """Names that the flow of a file can have: first what it calls at its end, then its classes."""
    tree = ast.parse(file.read_bytes())
    calls = [
        node.func.id
        for block in tree.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    return iter(dict.fromkeys([*calls, *classes]))

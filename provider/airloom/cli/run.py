"""``run`` and ``resume``: a flow on this machine, from its class to its last line on the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airloom.cli.progress import reporter
from airloom.codec import Json
from airloom.compiler.planner import Compiled
from airloom.deploy import save
from airloom.errors import SettingsError
from airloom.flow.spec import FlowSpec
from airloom.names import Indices
from airloom.runtime.executors import Executor, ForkingExecutor, InProcessExecutor
from airloom.runtime.local import LocalRun
from airloom.runtime.start import begin, new_run, run_parameters
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.store.records import Outcome, RunRecord
from airloom.store.tags import checked

Given = Callable[[Compiled], dict[str, "Json | bytes"]]


@dataclass(frozen=True)
class Start:
    """A run that is to begin, and what fills it with finished tasks once its record is written."""

    record: RunRecord
    take_over: Callable[[RunRecord], Mapping[tuple[str, Indices], Outcome]] = lambda _: {}


Prepare = Callable[[Compiled, Datastore], Start]


def new(given: Given, settings: Settings, tags: tuple[str, ...]) -> Prepare:
    """Prepare a run that begins at its start step.

    Raises
    ------
    ParameterError
        When a parameter is missing, or not of its type.
    TagError
        When a tag cannot be given.
    """

    def prepare(compiled: Compiled, datastore: Datastore) -> Start:
        plan = compiled.plan
        parameters = run_parameters(
            plan, stored(given(compiled), datastore), datastore, where="the command line"
        )
        found = checked(tags, plan.flow)
        return Start(new_run(plan, parameters, settings.user_name, {"scheduler": "local"}, tags=found))

    return prepare


def run_locally(
    file: Path,
    flow: type[FlowSpec],
    compiler: Callable[[], Compiled],
    settings: Settings,
    prepare: Prepare,
    *,
    debug: bool,
    quiet: bool,
    run_id_file: Path | None,
) -> int:
    """Compile and run a flow; return the exit code.

    Raises
    ------
    AirloomError
        When the flow, a parameter or the store is not in order; nothing has run then.
    """
    forking = None if debug else ForkingExecutor()
    try:
        compiled = compiler()
        datastore = Datastore.open(settings)
        start = prepare(compiled, datastore)
        save(compiled, datastore)
        executor: Executor
        if forking is None:
            executor = InProcessExecutor(compiled.plan, _imported(file, flow), datastore)
        else:
            forking.load(compiled.plan, file, settings)
            executor = forking
        if run_id_file is not None:
            _write(run_id_file, start.record.run)  # before the run begins: whoever asked for it needs it
        record = begin(datastore, start.record)
        finished = start.take_over(record)
    except BaseException:
        if forking is not None:
            forking.close()
        raise
    with reporter(quiet=quiet) as told:
        run = LocalRun(
            datastore,
            compiled.plan,
            executor,
            told,
            limit="group" if settings.enforce_memory == "true" else "none",
            apply_sizes=settings.sizes == "apply",
        )
        successful = run.execute(record, settings.workers, finished)
    if compiled.plan.exit_hooks is not None:
        from airloom.client import Run
        from airloom.runtime.exit_hooks import call_exit_hooks

        ended = Run(f"{compiled.plan.flow}/{record.run}", datastore=datastore, _namespace_check=False)
        call_exit_hooks(_imported(file, flow), compiled.plan, ended, successful=successful)
    return 0 if successful else 1


def stored(given: dict[str, Json | bytes], datastore: Datastore) -> dict[str, Json]:
    """Put the files among given parameters into the store; name them by digest."""
    return {
        name: {"digest": datastore.save_code(value), "name": "given as file"}
        if isinstance(value, bytes)
        else value
        for name, value in given.items()
    }


def _write(file: Path, run: str) -> None:
    # In one step: whoever waits for the file reads all of the id.
    whole = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        whole.write_text(run, encoding="utf-8")
        whole.replace(file)
    except OSError as error:
        raise SettingsError(
            f"the run's id cannot be written: {error.strerror}",
            where=f"--run-id-file {file}",
            mend="name a file in a folder that exists and can be written.",
        ) from error


def _imported(file: Path, flow: type[FlowSpec]) -> type[FlowSpec]:
    # Under its own name, not as __main__: a class defined beside the flow must pickle the same way here.
    from airloom.runtime.code import import_flow

    return import_flow(file, flow.__name__)

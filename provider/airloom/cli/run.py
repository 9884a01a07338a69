"""``run``: a flow on this machine, from its class to its last line on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from airloom.cli.progress import reporter
from airloom.codec import Json
from airloom.compiler.planner import Compiled
from airloom.deploy import save
from airloom.flow.spec import FlowSpec
from airloom.runtime.local import Executor, ForkingExecutor, InProcessExecutor, LocalRun
from airloom.runtime.start import begin, new_run, run_parameters
from airloom.settings import Settings
from airloom.store.datastore import Datastore

Given = Callable[[Compiled], dict[str, "Json | bytes"]]


def run_locally(
    file: Path,
    flow: type[FlowSpec],
    compiler: Callable[[], Compiled],
    settings: Settings,
    given: Given,
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
        parameters = run_parameters(
            compiled.plan, stored(given(compiled), datastore), datastore, where="the command line"
        )
        save(compiled, datastore)
        executor: Executor
        if forking is None:
            executor = InProcessExecutor(compiled.plan, _imported(file, flow), datastore)
        else:
            forking.load(compiled.plan, file, settings)
            executor = forking
        record = new_run(compiled.plan, parameters, settings.user_name, {"scheduler": "local"})
        begin(datastore, record)
        if run_id_file is not None:
            run_id_file.write_text(record.run)
    except BaseException:
        if forking is not None:
            forking.close()
        raise
    with reporter(quiet=quiet) as told:
        run = LocalRun(datastore, compiled.plan, executor, told)
        successful = run.execute(record, settings.workers)
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


def _imported(file: Path, flow: type[FlowSpec]) -> type[FlowSpec]:
    # Under its own name, not as __main__: a class defined beside the flow must pickle the same way here.
    from airloom.runtime.code import import_flow

    return import_flow(file, flow.__name__)

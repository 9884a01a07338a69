"""``python -m airloom.runtime``: a task, or several one after another, in a process of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airloom import settings
from airloom.errors import AirloomError, InternalError
from airloom.failures import EXIT_CODES, FailureKind, of_exception
from airloom.runtime.code import load_flow
from airloom.runtime.command import Command, parse
from airloom.runtime.logs import captured, tell
from airloom.runtime.task import Task
from airloom.store.datastore import Datastore

if TYPE_CHECKING:
    from airloom.flow.spec import FlowSpec
    from airloom.plan import Plan
    from airloom.runtime.task import TaskRequest

RETRIABLE, FINAL = 1, 2
"""Exit codes besides those of `airloom.failures.EXIT_CODES`: another try may help; it cannot."""


def main() -> int:
    """Run the tasks that the command line names."""
    try:
        command = parse(sys.argv[1:])
    except AirloomError as error:
        sys.stderr.write(f"{error}\n")
        return FINAL
    return run(command)


def run(command: Command) -> int:
    """Run the tasks of a command, also those after one that failed; give the exit code."""
    try:
        found = settings.load()
        datastore = Datastore.open(found)
        plan = datastore.plan(command.flow, command.plan)
        calls = all(request.call is not None for request in command.requests)
        flow = None if calls else load_flow(plan, datastore, found.cache_folder)
    except AirloomError as error:
        sys.stderr.write(f"{error}\n")
        return code_of(error)
    codes = [_run(datastore, plan, flow, request) for request in command.requests]
    return min((code for code in codes if code), default=0)


def _run(datastore: Datastore, plan: Plan, flow: type[FlowSpec] | None, request: TaskRequest) -> int:
    try:
        if flow is None:
            from airloom.runtime.calls import CallTask

            task: Task = CallTask(datastore, plan, request)
        else:
            task = Task(datastore, plan, flow, request)
        with captured() as log:
            try:
                task.run()
            except AirloomError as error:
                tell(error)
                raise
            finally:
                kept = log.to_bytes()
                if kept:
                    datastore.write_log(task.key, task.attempt, kept)
    except AirloomError as error:
        return code_of(error)
    return 0


def code_of(error: AirloomError) -> int:
    """Exit code that tells an operator outside of the container what kind of failure it was."""
    kind = of_exception(error.__cause__ if isinstance(error.__cause__, MemoryError) else error).kind
    told = next((code for code, known in EXIT_CODES.items() if known is kind), None)
    if told is not None and kind is not FailureKind.START_FAILED:
        return told
    return RETRIABLE if error.retriable and not isinstance(error, InternalError) else FINAL


if __name__ == "__main__":
    sys.exit(main())

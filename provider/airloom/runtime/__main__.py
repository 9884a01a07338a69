"""``python -m airloom.runtime``: one task in a process of its own."""

from __future__ import annotations

import sys
import traceback

from airloom import settings
from airloom.errors import AirloomError, InternalError
from airloom.runtime.code import load_flow
from airloom.runtime.command import parse
from airloom.runtime.logs import captured
from airloom.runtime.task import Task
from airloom.store.datastore import Datastore

RETRIABLE, FINAL = 1, 2
"""Exit codes: another try may help; it cannot."""


def main() -> int:
    """Run the task that the command line names."""
    try:
        command = parse(sys.argv[1:])
        found = settings.load()
        datastore = Datastore.open(found)
        plan = datastore.plan(command.flow, command.plan)
        flow = load_flow(plan, datastore, found.cache_folder)
        task = Task(datastore, plan, flow, command.request)
        with captured() as log:
            try:
                task.run()
            except AirloomError as error:
                traceback.print_exception(error.__cause__ or error)
                raise
            finally:
                kept = log.to_bytes()
                if kept:
                    datastore.write_log(task.key, task.attempt, kept)
    except AirloomError as error:
        sys.stderr.write(f"{error}\n")
        return RETRIABLE if error.retriable and not isinstance(error, InternalError) else FINAL
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line of a task, written and read in one place.

``python -m airloom.runtime <JSON>`` runs a task in a process of its own, or several one after
another, on this machine or in a container. Its settings come from AIRLOOM_* variables.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from airloom import codec
from airloom.errors import InternalError
from airloom.runtime.task import TaskRequest


@dataclass(frozen=True, slots=True)
class Command:
    """What the process needs to know: the plan, and the tasks in it, which run one after another."""

    flow: str
    plan: str
    requests: tuple[TaskRequest, ...]


def build(command: Command, *, python: str = sys.executable) -> list[str]:
    """Write the command line."""
    return [python, "-m", "airloom.runtime", text_of(command)]


def text_of(command: Command) -> str:
    """Write what `parse` reads, for a process that is started in another way."""
    return codec.dumps(command).decode()


def parse(arguments: list[str]) -> Command:
    """Read the command line that `build` wrote, without the interpreter's part.

    Raises
    ------
    InternalError
        When it is another one.
    """
    try:
        (text,) = arguments
        return codec.loads(Command, text.encode())
    except ValueError as error:
        raise InternalError(
            f"this is not the command of a task: {error}",
            where=" ".join(arguments)[:200],
            mend="run `airloom` instead: this program is for operators and containers.",
        ) from error

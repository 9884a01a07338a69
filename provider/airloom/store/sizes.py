"""What is known about the sizes of steps: growths that worked, and what a run began with.

::

    flows/<Flow>/sizes/<step>/<reversed time>-<id>.json    appended when an attempt that had grown was done
    flows/<Flow>/runs/<run>/sizes/<step>.json              create-only: what the run's tasks begin with

The second lets all tasks of a step begin alike, whatever other runs do meanwhile, and costs each
but the first one request.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone

from airloom.names import escape
from airloom.sizing.learning import Grown, Learned
from airloom.store.index import DIGITS, microseconds
from airloom.store.shelf import Shelf, flow_key, run_key


class Sizes(Shelf):
    """The part of a datastore that knows sizes."""

    def note_growth(self, flow: str, step: str, grown: Grown) -> None:
        """Note that a task of a step needed more memory than the step asks for."""
        age = 10**DIGITS - 1 - microseconds(datetime.now(timezone.utc).isoformat(timespec="microseconds"))
        self._put_new(f"{_folder(flow, step)}/{age:0{DIGITS}}-{os.urandom(4).hex()}.json", grown)

    def growths(self, flow: str, step: str, most: int = 20) -> list[Grown]:
        """Read the growths of a step that worked, the newest first; at most so many."""
        found = []
        for key in self._objects.list(_folder(flow, step)):
            found.append(self._get(key, Grown))
            if len(found) == most:
                break
        return found

    def learned(self, flow: str, run: str, step: str) -> Learned | None:
        """Read what a run's tasks of a step begin with; None when none has begun."""
        return self._find(_key(flow, run, step), Learned)

    def note_learned(self, flow: str, run: str, step: str, learned: Learned) -> Learned:
        """Note it; another task may have been faster: what it noted holds, and is given back."""
        if self._put_new(_key(flow, run, step), learned):
            return learned
        return self._get(_key(flow, run, step), Learned)


def _folder(flow: str, step: str) -> str:
    return f"{flow_key(flow)}/sizes/{escape(step)}"


def _key(flow: str, run: str, step: str) -> str:
    return f"{run_key(flow, run)}/sizes/{escape(step)}.json"

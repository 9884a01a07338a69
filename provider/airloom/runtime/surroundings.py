"""What holds only while a step runs: environment variables, a neutral ``__main__``, an alarm."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType

from airloom.errors import StepTimedOut


@contextmanager
def variables(wanted: dict[str, str]) -> Iterator[None]:
    """Set environment variables; they are as before afterwards."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def neutral_main() -> Iterator[None]:
    """Hide the program that runs the step from its children."""
    # With the scheduler's own __main__, children that multiprocessing spawns would run its
    # command line again, and hang.
    before = sys.modules.get("__main__")
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        if before is not None:
            sys.modules["__main__"] = before


@contextmanager
def alarm(seconds: float, pathspec: str) -> Iterator[None]:
    """Raise StepTimedOut in the main thread when the block takes longer."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise StepTimedOut(
            f"the step took longer than its @timeout of {seconds:g} s",
            where=pathspec,
            mend="give it more time, or less to do.",
        )

    before = signal.signal(signal.SIGALRM, ring)
    began = time.monotonic()
    outer_s, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        # A scheduler's own alarm goes on where it was.
        left_s = max(outer_s - (time.monotonic() - began), 0.001) if outer_s else 0
        signal.setitimer(signal.ITIMER_REAL, left_s)
        signal.signal(signal.SIGALRM, before)

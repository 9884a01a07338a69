"""What is around a step while it runs: environment variables, a neutral ``__main__``, an alarm, an image."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType

from airloom.errors import StepTimedOut

_METADATA_S = 2


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


def image() -> str:
    """Name the image that this container was made of, with its digest; empty where nobody tells.

    Notes
    -----
    ``Image`` and ``ImageID``, "the SHA digest for the image manifest": "Amazon ECS task metadata endpoint
    version 4", Amazon ECS developer guide. Jobs of AWS Batch run on the same agent.
    """
    place = os.environ.get("ECS_CONTAINER_METADATA_URI_V4", "")
    if not place.startswith("http://"):
        return ""
    import json
    from urllib.request import urlopen

    try:
        with urlopen(place, timeout=_METADATA_S) as answer:  # noqa: S310 - its scheme was looked at
            told = json.loads(answer.read())
        name, digest = str(told.get("Image", "")), str(told.get("ImageID", ""))
    except (OSError, ValueError, AttributeError):  # it is worth no attempt's life
        return ""
    return name if not digest or "@" in name else f"{name}@{digest}"

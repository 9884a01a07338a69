"""What a step prints: passed through live, and kept for the store.

A kept line is ``<ISO time> <o|e> <text>``: o for standard output, e for standard error.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from airloom.errors import AirloomError

Stream = Literal["o", "e"]


class Line(NamedTuple):
    """One line of a log."""

    time: str
    stream: Stream
    text: str


class Log:
    """Lines of one attempt, collected as they come."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._open: dict[str, str] = {"o": "", "e": ""}

    def feed(self, stream: Stream, text: str) -> list[str]:
        """Take text of a stream in; return the lines that are whole now."""
        *whole, self._open[stream] = (self._open[stream] + text).split("\n")
        if whole:
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            self._lines += [f"{now} {stream} {line}" for line in whole]
        return whole

    def close(self) -> list[tuple[Stream, str]]:
        """End the lines that have no end yet; return them."""
        streams: tuple[Stream, ...] = ("o", "e")
        rest = [(stream, self._open[stream]) for stream in streams if self._open[stream]]
        for stream, _ in rest:
            self.feed(stream, "\n")
        return rest

    def to_bytes(self) -> bytes:
        """All lines so far, in the form that `parse` reads."""
        return "".join(f"{line}\n" for line in self._lines).encode("utf-8", "surrogateescape")


def parse(data: bytes) -> Iterator[Line]:
    """Lines of a kept log."""
    for raw in data.decode("utf-8", "replace").split("\n"):
        time, _, rest = raw.partition(" ")
        stream, _, text = rest.partition(" ")
        if stream in ("o", "e"):
            yield Line(time, "o" if stream == "o" else "e", text)


class _Tee:
    """A text stream that also feeds a log."""

    def __init__(self, target: IO[str], log: Log, stream: Stream) -> None:
        self._target = target
        self._log = log
        self._stream = stream

    def write(self, text: str) -> int:
        self._log.feed(self._stream, text)
        return self._target.write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


@contextmanager
def captured() -> Iterator[Log]:
    """Keep what this process prints while the block runs; it still goes where it went."""
    log = Log()
    before = sys.stdout, sys.stderr
    sys.stdout = _Tee(before[0], log, "o")
    sys.stderr = _Tee(before[1], log, "e")
    try:
        yield log
    finally:
        sys.stdout, sys.stderr = before
        log.close()


_OURS = str(Path(__file__).parents[1])
_STANDARD = str(Path(os.__file__).parent)


def tell(error: AirloomError) -> None:
    """Print how a task failed: the traceback as far as it is the user's, and what to do."""
    cause = error.__cause__ or error
    trace = cause.__traceback__
    while trace is not None and not _is_users(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    if trace is not None:
        traceback.print_exception(type(cause), cause, trace)
    if trace is None or cause is not error:
        print(error, file=sys.stderr)  # noqa: T201 - what is printed here is the task's log


def _is_users(file: str) -> bool:
    # What Airloom calls of the standard library before the user's code, contextlib for one, is not theirs.
    standard = file.startswith(_STANDARD) and "site-packages" not in file
    return not standard and not file.startswith(_OURS)

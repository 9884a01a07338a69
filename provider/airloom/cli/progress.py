"""How a run looks while it runs: plain lines, and on a terminal a live line below them."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from airloom.plan import Plan
from airloom.runtime.logs import Stream
from airloom.store.datastore import TaskKey

if TYPE_CHECKING:
    from rich.status import Status
    from typing_extensions import Self


class Lines:
    """One line an event; the user's output behind the task that printed it."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was, however the run ended."""

    def _say(self, text: str, *, error: bool = False) -> None:
        if not self._quiet or error:
            stream = sys.stderr if error else sys.stdout
            stream.write(f"{datetime.now().astimezone():%H:%M:%S} {_printable(text, stream)}\n")
            stream.flush()

    def run_started(self, plan: Plan, run: str) -> None:
        self._say(f"{plan.flow}/{run} started, plan {plan.digest[:11]}")

    def task_started(self, key: TaskKey, retry_count: int) -> None:
        again = f", retry {retry_count}" if retry_count else ""
        self._say(f"[{_short(key)}] started{again}")

    def line(self, key: TaskKey, stream: Stream, text: str) -> None:
        self._say(f"[{_short(key)}] {text}", error=stream == "e")

    def task_ended(self, key: TaskKey, problem: str | None, retried: bool) -> None:
        if problem is None:
            self._say(f"[{_short(key)}] done")
        else:
            self._say(f"[{_short(key)}] failed: {problem}{', is tried again' if retried else ''}", error=True)

    def run_ended(self, run: str, successful: bool) -> None:
        took = f"{time.monotonic() - self._began:.1f} s"
        self._say(f"run {run} {'succeeded' if successful else 'failed'} after {took}", error=not successful)


class Live(Lines):
    """The same lines, with a live count of tasks on the terminal's last line."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.text import Text

        self._text = Text.from_ansi
        self._console = Console(highlight=False, markup=False)
        self._status: Status = self._console.status("starting", spinner="dots")
        self._done = 0
        self._running: dict[str, float] = {}

    def _say(self, text: str, *, error: bool = False) -> None:
        now = f"{datetime.now().astimezone():%H:%M:%S}"
        line = self._text(f"{now} {_printable(text, sys.stdout)}", style="red" if error else "")
        self._console.print(line, soft_wrap=True)

    def _show(self) -> None:
        names = ", ".join(list(self._running)[:4])
        self._status.update(f"{self._done} done, {len(self._running)} running: {names}")

    def run_started(self, plan: Plan, run: str) -> None:
        super().run_started(plan, run)
        self._status.start()

    def task_started(self, key: TaskKey, retry_count: int) -> None:
        self._running[_short(key)] = time.monotonic()
        if retry_count:
            super().task_started(key, retry_count)
        self._show()

    def task_ended(self, key: TaskKey, problem: str | None, retried: bool) -> None:
        began = self._running.pop(_short(key), time.monotonic())
        if problem is None:
            self._done += 1
            self._say(f"[{_short(key)}] done in {time.monotonic() - began:.1f} s")
        else:
            super().task_ended(key, problem, retried)
        self._show()

    def run_ended(self, run: str, successful: bool) -> None:
        self._status.stop()
        super().run_ended(run, successful)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()  # else the cursor stays hidden


def reporter(*, quiet: bool = False) -> Lines:
    """Reporter that fits the terminal, or the lack of one."""
    on_terminal = sys.stdout.isatty() and sys.stderr.isatty()
    return Live() if on_terminal and not quiet else Lines(quiet=quiet)


def _printable(text: str, stream: TextIO) -> str:
    """Make a text of what a task wrote that the stream can encode: tasks may write any bytes."""
    whole = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    encoding = stream.encoding or "utf-8"
    return whole.encode(encoding, "backslashreplace").decode(encoding)


def _short(key: TaskKey) -> str:
    return f"{key.step}/{key.task}"

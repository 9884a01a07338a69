"""One program that is started, listened to and ended: what `runs` and `deployer` start flows by."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from airloom.errors import NotFound

_PATIENCE_S = 10.0


class Program:
    """A running program whose output is kept, and shown when it is to be.

    Parameters
    ----------
    command
        Program and arguments; no shell reads them.
    env
        Variables besides those of this process.
    show
        Pass on what it prints, line by line.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, show: bool
    ) -> None:
        self.command = list(command)
        self.lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Unbuffered: a line is heard when it is printed, not when a buffer is full.
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            cwd=cwd,
        )
        assert self._process.stdout is not None  # noqa: S101 - both are pipes
        assert self._process.stderr is not None  # noqa: S101
        pipes: tuple[tuple[str, IO[bytes]], ...] = (
            ("stdout", self._process.stdout),
            ("stderr", self._process.stderr),
        )
        self._listeners = [
            threading.Thread(target=self._listen, args=(name, pipe, show), daemon=True)
            for name, pipe in pipes
        ]
        for listener in self._listeners:
            listener.start()
        atexit.register(self.end)

    def _listen(self, name: str, pipe: IO[bytes], show: bool) -> None:
        with pipe:
            for data in pipe:
                line = data.decode("utf-8", "replace").rstrip("\n")
                self.lines[name].append(line)
                if show:
                    print(line, file=sys.stdout if name == "stdout" else sys.stderr, flush=True)

    def text(self, stream: str) -> str:
        """All that it has printed so far."""
        return "".join(f"{line}\n" for line in list(self.output(stream)))

    def output(self, stream: str) -> list[str]:
        """Lines that it has printed so far; the list grows.

        Raises
        ------
        NotFound
            When there is no such stream.
        """
        if stream not in self.lines:
            raise NotFound(
                f"there is no stream {stream!r}", where=self.command[0], mend="write 'stdout' or 'stderr'."
            )
        return self.lines[stream]

    @property
    def returncode(self) -> int | None:
        """Exit code, minus a signal's number; None while it runs."""
        return self._process.poll()

    @property
    def ended(self) -> bool:
        """Whether it has ended, and all that it printed was read."""
        return self.returncode is not None and not any(one.is_alive() for one in self._listeners)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for its end, at most so long; return the exit code, None when the time is over."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._settle()
        return self._process.returncode

    def _settle(self) -> None:
        atexit.unregister(self.end)
        deadline = time.monotonic() + _PATIENCE_S
        for listener in self._listeners:
            # A process that it left behind may hold its output open.
            listener.join(max(0.0, deadline - time.monotonic()))

    def end(self, patience_s: float = _PATIENCE_S) -> None:
        """End it as Ctrl-C does; when that does not help, by force."""
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.returncode is None:
                self._process.send_signal(how)
                if self.wait(patience_s) is not None:
                    return
        self.wait()


def python_of(file: Path, top_level: Mapping[str, Any]) -> list[str]:
    """Command line of a flow's file up to the verb."""
    return [sys.executable, str(file), *options(top_level)]


def options(given: Mapping[str, Any]) -> list[str]:
    """Options of a command line from keyword arguments.

    >>> options({"quiet": True, "production": False, "branch": None, "max_workers": 4})
    ['--quiet', '--max-workers', '4']
    >>> options({"tag": ["a", "b"], "with_": "retry", "config": {"settings": "a.json"}})
    ['--tag', 'a', '--tag', 'b', '--with', 'retry', '--config', 'settings', 'a.json']
    """
    found: list[str] = []
    for name, value in given.items():
        option = "--" + name.rstrip("_").replace("_", "-")
        if value is True:
            found.append(option)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                found += [option, str(key), item if isinstance(item, str) else _text(item)]
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                found += [option, *map(str, item)] if isinstance(item, tuple) else [option, str(item)]
        elif value is not None and value is not False:
            found += [option, str(value)]
    return found


def _text(value: Any) -> str:
    return str(value) if isinstance(value, Path) else json.dumps(value)

"""What really runs an order: a process of this machine, or (docker_runner.py) a container."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from support.aws import words

POLL_S = 0.02
_PROGRAMS = ("sh", "echo", "cat", "sleep", "true", "false", "env", "printf", "tail", "seq")


@dataclass(frozen=True)
class Order:
    """One container to run; ``memory_mib`` is a hard limit."""

    name: str
    image: str
    command: list[str]
    environment: Mapping[str, str]
    memory_mib: int | None = None
    vcpus: float | None = None
    shared_memory_mib: int | None = None
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Folders of the host by their path in the container."""


@dataclass(frozen=True)
class Ended:
    """How a container ended."""

    exit_code: int
    out_of_memory: bool = False


class CannotRun(Exception):
    """The container did not start; the text is what ECS's agent says."""


class Run(Protocol):
    """A container that was started."""

    def wait(self, timeout_s: float | None = None) -> Ended | None:
        """Give how it ended, or None when it has not within the time."""

    def stop(self, grace_s: float) -> None:
        """Ask it to end, and end it when it has not within the grace."""


class Runner(Protocol):
    """Starts containers."""

    def start(self, order: Order, log: Callable[[str], None]) -> Run:
        """Start one; each line that it prints goes to ``log`` at once. Raises `CannotRun`."""

    def close(self) -> None:
        """End everything that still runs."""


class ProcessRunner:
    """Runs each order as a process of this machine: no engine needed, its files are the machine's own.

    An image is the name of an interpreter here, or of none at all. ``python`` and ``python3`` on the order's
    path are that interpreter; of the machine's programs only the shell and a few small ones are there.
    A memory limit is kept by a watch, which kills over it as the kernel does for a container.
    Unlike in a container, process 1's deafness to SIGTERM is not there: a plain program ends with 143.
    """

    def __init__(self, folder: Path, images: Mapping[str, str | None]) -> None:
        self.images = dict(images)
        self._folder = folder
        self._runs: set[_ProcessRun] = set()

    def start(self, order: Order, log: Callable[[str], None]) -> Run:
        if order.image not in self.images:
            raise CannotRun(words.cannot_pull(order.image))
        programs = self._programs(self.images[order.image])
        home = self._folder / "containers" / order.name
        home.mkdir(parents=True)
        environment = {"PATH": str(programs), "HOME": str(home), "PYTHONNOUSERSITE": "1", **order.environment}
        executable = order.command[0] if "/" in order.command[0] else str(programs / order.command[0])
        if not os.access(executable, os.X_OK):
            raise CannotRun(words.cannot_start(words.no_executable(order.command[0])))
        process = subprocess.Popen(
            [executable, *order.command[1:]],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        run = _ProcessRun(process, order.memory_mib, log, self._runs.discard)
        self._runs.add(run)
        run.begin()
        return run

    def close(self) -> None:
        for run in list(self._runs):
            run.stop(0)

    def _programs(self, interpreter: str | None) -> Path:
        """Give the folder that is the whole path of an image's containers."""
        folder = self._folder / "programs" / (interpreter or "none").strip("/").replace("/", "-")
        if folder.exists():
            return folder
        made = folder.with_name(f"{folder.name}.{threading.get_ident()}")
        made.mkdir(parents=True)
        for name in _PROGRAMS:
            (made / name).symlink_to(
                next(Path(p) / name for p in ("/bin", "/usr/bin") if (Path(p) / name).exists())
            )
        for name in ("python", "python3") if interpreter else ():
            # A script and no link: an interpreter looks for its virtual environment beside its path.
            (made / name).write_text(f'#!/bin/sh\nexec "{interpreter}" "$@"\n', encoding="utf-8")
            (made / name).chmod(0o755)
        with contextlib.suppress(OSError):  # another thread was first
            made.rename(folder)
        return folder


class _ProcessRun:
    def __init__(
        self,
        process: subprocess.Popen[bytes],
        memory_mib: int | None,
        log: Callable[[str], None],
        gone: Callable[[_ProcessRun], None],
    ) -> None:
        self._process = process
        self._limit = (memory_mib or 0) << 20
        self._log = log
        self._gone = gone
        self._killed = False
        self._ended: Ended | None = None
        self._done = threading.Event()

    def begin(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> Ended | None:
        self._done.wait(timeout_s)
        return self._ended

    def stop(self, grace_s: float) -> None:
        if grace_s and not self._done.is_set():
            self._process.send_signal(signal.SIGTERM)
            self._done.wait(grace_s)
        if not self._done.is_set():
            self._kill()
            self._done.wait(10)

    def _watch(self) -> None:
        assert self._process.stdout is not None
        reader = threading.Thread(target=pump, args=(self._process.stdout, self._log), daemon=True)
        reader.start()
        if not self._limit:
            self._process.wait()
        while self._process.poll() is None:
            if memory_of(self._process.pid) > self._limit:
                self._killed = True
                self._kill()
            time.sleep(POLL_S)
        code = self._process.returncode
        self._kill()  # a container ends with its first process, whatever else runs in it
        reader.join(10)
        self._ended = Ended(128 - code if code < 0 else code, self._killed)
        self._gone(self)
        self._done.set()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def pump(stream: IO[bytes], log: Callable[[str], None]) -> None:
    """Hand on lines as they come; empty ones are left out, as the awslogs driver does."""
    for line in stream:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text:
            log(text)


def memory_of(pid: int) -> int:
    """Resident bytes of a process and all below it; of the process itself, the peak since its start."""
    total, waiting = 0, [(pid, b"VmHWM:")]
    while waiting:
        process, field_name = waiting.pop()
        folder = Path("/proc", str(process))
        try:
            status = (folder / "status").read_bytes()
            total += next(
                (int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith(field_name)), 0
            )
            for thread in (folder / "task").iterdir():
                children = (thread / "children").read_text(encoding="ascii").split()
                waiting += [(int(child), b"VmRSS:") for child in children]
        except (OSError, ValueError):  # it ended meanwhile
            continue
    return total

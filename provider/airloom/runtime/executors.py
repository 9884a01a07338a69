"""What runs the tasks of a local run: processes forked from a nursery, or this process for a debugger."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from airloom import codec, failures
from airloom.codec import Json
from airloom.errors import AirloomError, FlowError, NotFound, Place
from airloom.flow.spec import FlowSpec
from airloom.plan import Plan
from airloom.runtime import nursery
from airloom.runtime.logs import Log, Stream, captured, tell
from airloom.runtime.task import Task, TaskRequest, now
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import DoneRecord, ErrorRecord, FailedRecord, Usage


@dataclass(frozen=True, slots=True)
class Ended:
    """A try at a task came to its end.

    ``attempt`` is the one that it claimed, None when it could not even do that; ``done`` is what it
    committed. ``status`` is an exit code, or minus a signal's number.
    """

    request: TaskRequest
    attempt: int | None
    done: DoneRecord | None
    status: int


class Executor(Protocol):
    """Runs tasks; `poll` waits until at least one ends or prints."""

    def submit(self, request: TaskRequest) -> None: ...
    def poll(self) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]: ...
    def close(self, *, kill: bool = False) -> None: ...


@dataclass
class _Child:
    request: TaskRequest
    began: float = field(default_factory=time.monotonic)
    pid: int | None = None
    log: Log = field(default_factory=Log)
    outputs: dict[int, Stream] = field(default_factory=dict)


# The folder that `python -m` would put first on the path is nothing to do with the flow: a file
# there would hide an installed package. Where Airloom itself lies is found in any case.
_START = """\
import sys
sys.path[:] = [*filter(None, sys.path), sys.argv.pop()]
from airloom.runtime.nursery import main
sys.exit(main())
"""
_HOME = str(Path(__file__).parents[2])
_PATIENCE_S = 3.0
ENDED = "ProcessEnded"
"""Type of the error on record when a task's process ended without a word."""


class ForkingExecutor:
    """One process a task, forked from a `nursery` that has the flow loaded."""

    def __init__(self) -> None:
        # Started first: its interpreter comes up while this process compiles the flow.
        self._link, theirs = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._link, selectors.EVENT_READ)
        self._children: dict[int, _Child] = {}
        self._received = b""
        self._count = 0
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
        command = [sys.executable, *flags, "-c", _START, str(theirs.fileno()), _HOME]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._where = Place("the flow")
        self._ready = False

    def load(self, plan: Plan, file: Path, settings: Settings) -> None:
        """Have the flow loaded whose tasks are to run; does not wait for it."""
        self._plan = plan
        self._where = Place(str(file))
        self._datastore = Datastore.open(settings)
        setup = nursery.Setup(str(file.resolve()), plan.flow, settings)
        self._send(nursery.encode(setup) + plan.to_bytes() + b"\n")

    def submit(self, request: TaskRequest) -> None:
        """Start a task.

        Raises
        ------
        FlowError
            When the flow cannot be loaded, or the process that runs the tasks is gone.
        """
        if not self._ready:
            self._await_ready()
        self._count += 1
        child = _Child(request)
        writers = []
        streams: tuple[Stream, Stream] = ("o", "e")
        for stream in streams:
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            child.outputs[reader] = stream
            self._selector.register(reader, selectors.EVENT_READ, (self._count, reader))
            writers.append(writer)
        self._children[self._count] = child
        message = nursery.encode({"number": self._count, "request": codec.to_json(request)})
        try:
            self._send(message, writers)
        finally:
            for writer in writers:
                os.close(writer)

    def _send(self, message: bytes, descriptors: Iterable[int] = ()) -> None:
        try:
            sent = socket.send_fds(self._link, [message], list(descriptors))
            self._link.sendall(message[sent:])
        except BrokenPipeError:
            raise self._gone() from None

    def _gone(self) -> FlowError:
        try:
            status = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            status = 0
        for child in self._children.values():
            if child.pid is not None:
                nursery.end_group(child.pid, signal.SIGKILL)
        return FlowError(
            f"the process that runs the tasks {end_of(status)}",
            where=self._where,
            mend="look at the lines above; memory may have run out.",
        )

    def _await_ready(self) -> None:
        found: list[dict[str, Json]] = []
        while not found:
            found = list(self._messages())
        if "error" in found[0]:
            raise FlowError(
                f"the flow could not be loaded in the process that runs its tasks:\n{found[0]['error']}",
                where=self._where,
                mend="the file must be importable by its name, without side effects that need a terminal.",
            )
        self._ready = True

    def _messages(self) -> Iterator[dict[str, Json]]:
        data = self._link.recv(1 << 16)
        if not data:
            raise self._gone()
        self._received += data
        *whole, self._received = self._received.split(b"\n")
        for line in whole:
            yield json.loads(line)

    def poll(self, timeout_s: float | None = None) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]:
        """Give what has happened; wait for something to, at most so long.

        Raises
        ------
        FlowError
            When the process that runs the tasks is gone.
        """
        told: list[dict[str, Json]] = []
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._link:
                told += self._messages()
            else:
                number, reader = key.data
                yield from self._read(number, reader)[1]
        for message in told:
            child = self._children[int(str(message["number"]))]
            child.pid = int(str(message["pid"]))
            if "status" in message:
                yield from self._end(int(str(message["number"])), message)

    def _read(self, number: int, reader: int) -> tuple[bool, list[tuple[TaskRequest, Stream, str]]]:
        """Read what is there; say whether there was anything, and give the lines that are whole now."""
        child = self._children.get(number)
        if child is None or reader not in child.outputs:
            return False, []
        try:
            data = os.read(reader, 1 << 16)
        except BlockingIOError:
            return False, []
        stream = child.outputs[reader]
        if not data:
            self._forget(child, reader)
            return False, []
        lines = child.log.feed(stream, data.decode("utf-8", "surrogateescape"))
        return True, [(child.request, stream, line) for line in lines]

    def _forget(self, child: _Child, reader: int) -> None:
        self._selector.unregister(reader)
        os.close(reader)
        del child.outputs[reader]

    def _end(
        self, number: int, message: dict[str, Json]
    ) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]:
        child = self._children[number]
        for reader in list(child.outputs):
            more = True
            while more:
                more, lines = self._read(number, reader)
                yield from lines
            if reader in child.outputs:
                self._forget(child, reader)  # a grandchild holds it open: the task is over all the same
        for stream, text in child.log.close():
            yield child.request, stream, text
        del self._children[number]
        status = int(str(message["status"]))
        attempt, done = self._keep(child, status, message)
        yield Ended(child.request, attempt, done, status)

    def _keep(
        self, child: _Child, status: int, message: dict[str, Json]
    ) -> tuple[int | None, DoneRecord | None]:
        """Save the log of the attempt, and how it ended where it could not say so itself."""
        key = TaskKey(self._plan.flow, child.request.run, child.request.step, child.request.task)
        attempt, done = self._datastore.last_attempt(key)
        committed = status == 0 and done is not None
        if attempt < 0 or not (committed or self._datastore.begin(key, attempt).pid == child.pid):
            return None, None  # it was ended before it could claim one
        kept = child.log.to_bytes()
        if kept:
            self._datastore.write_log(key, attempt, kept)
        if done is None and self._datastore.failed(key, attempt) is None:
            used = Usage(
                float(str(message["peak_memory_mib"])),
                round(float(str(message["cpu_s"])), 3),
                round(time.monotonic() - child.began, 3),
            )
            error = ErrorRecord(ENDED, f"the task's process {end_of(status)}", "")
            kind = failures.FailureKind.OUT_OF_MEMORY if message["out_of_memory"] else _kind_of(status)
            size = self._datastore.begin(key, attempt).size
            record = FailedRecord(now(), error, used, code=self._plan.code, failure=kind.value, size=size)
            self._datastore.fail(key, attempt, record)
        return attempt, done

    def close(self, *, kill: bool = False) -> None:
        """End everything; the tasks that still run, too, when ``kill`` is set."""
        try:
            if kill and self._ready:
                self._stop_children()
        finally:
            if not self._ready:
                self._process.kill()  # it is busy importing, and has no children
            self._link.close()
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            for child in self._children.values():
                for reader in list(child.outputs):
                    self._forget(child, reader)
            self._selector.close()

    def _stop_children(self) -> None:
        try:
            for how in (signal.SIGTERM, signal.SIGKILL):
                self._send(nursery.encode({"stop": how}))
                deadline = time.monotonic() + _PATIENCE_S
                while self._children and time.monotonic() < deadline:
                    for _ in self.poll(0.1):
                        pass
        except FlowError:
            return  # it is gone, and its children were ended with it


def _committed(datastore: Datastore, key: TaskKey, attempt: int) -> DoneRecord | None:
    try:
        return datastore.done(key, attempt)
    except NotFound:
        return None


def _kind_of(status: int) -> failures.FailureKind:
    found = failures.of_process(status)
    return failures.FailureKind.UNKNOWN if found is None else found.kind


def end_of(status: int) -> str:
    """How a process ended, by its exit status, to stand behind "the process"."""
    if status < 0:
        return f"was killed by signal {-status} ({signal.Signals(-status).name})"
    return f"ended by itself with exit status {status}"


class InProcessExecutor:
    """One task after another in this process, for a debugger; @timeout does not count there."""

    def __init__(self, plan: Plan, flow: type[FlowSpec], datastore: Datastore) -> None:
        self._plan = plan
        self._flow = flow
        self._datastore = datastore
        self._queue: deque[TaskRequest] = deque()

    def submit(self, request: TaskRequest) -> None:
        self._queue.append(request)

    def poll(self) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]:
        request = replace(self._queue.popleft(), alarm=False, limit="none")
        task = Task(self._datastore, self._plan, self._flow, request)
        status = 0
        with captured() as log:
            try:
                task.run()
            except AirloomError as error:
                tell(error)
                status = 1
        self._datastore.write_log(task.key, task.attempt, log.to_bytes())
        yield Ended(request, task.attempt, _committed(self._datastore, task.key, task.attempt), status)

    def close(self, *, kill: bool = False) -> None:
        self._queue.clear()

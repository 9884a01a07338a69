"""A whole run on this machine: no Airflow, no database, one process a task."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from airloom import codec
from airloom.codec import Json
from airloom.errors import AirloomError, FlowError, Place
from airloom.flow.spec import FlowSpec
from airloom.names import Indices, indices_of, task_id
from airloom.plan import Plan
from airloom.runtime import nursery
from airloom.runtime.logs import Log, Stream, captured
from airloom.runtime.task import Task, TaskRequest, claim
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import Outcome, RunRecord


class Reporter(Protocol):
    """Is told what happens in a run, as it happens."""

    def run_started(self, plan: Plan, run: str) -> None: ...
    def task_started(self, key: TaskKey, retry_count: int) -> None: ...
    def line(self, key: TaskKey, stream: Stream, text: str) -> None: ...
    def task_ended(self, key: TaskKey, problem: str | None, retried: bool) -> None: ...
    def run_ended(self, run: str, successful: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """A try at a task came to its end. ``status`` is an exit code, or minus a signal's number."""

    request: TaskRequest
    status: int


class Executor(Protocol):
    """Runs tasks; `poll` waits until at least one ends or prints."""

    def submit(self, request: TaskRequest) -> None: ...
    def poll(self) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]: ...
    def close(self, *, kill: bool = False) -> None: ...


@dataclass
class _Child:
    request: TaskRequest
    log: Log = field(default_factory=Log)
    outputs: dict[int, Stream] = field(default_factory=dict)


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
        command = [sys.executable, "-m", "airloom.runtime.nursery", str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._ready = False

    def load(self, plan: Plan, file: Path, settings: Settings) -> None:
        """Have the flow loaded whose tasks are to run; does not wait for it."""
        self._plan = plan
        self._datastore = Datastore.open(settings)
        setup = nursery.Setup(str(file.resolve()), plan.flow, plan.digest, settings)
        self._link.sendall(nursery.encode(setup))

    def submit(self, request: TaskRequest) -> None:
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
        socket.send_fds(self._link, [message], writers)
        for writer in writers:
            os.close(writer)

    def _await_ready(self) -> None:
        message = next(self._messages(), None)
        if message is None or "error" in message:
            text = str(message["error"]) if message else "it ended without a word"
            raise FlowError(
                f"the flow could not be loaded in the process that runs its tasks:\n{text}",
                where=Place(self._plan.module + ".py"),
                mend="the file must be importable by its name, without side effects that need a terminal.",
            )
        self._ready = True

    def _messages(self) -> Iterator[dict[str, Json]]:
        data = self._link.recv(1 << 16)
        self._received += data
        *whole, self._received = self._received.split(b"\n")
        for line in whole:
            yield json.loads(line)

    def poll(self) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]:
        ended = []
        for key, _ in self._selector.select():
            if key.fileobj is self._link:
                ended += list(self._messages())
                if self._process.poll() is not None and not ended:
                    raise FlowError(
                        f"the process that runs the tasks died with status {self._process.returncode}",
                        where=Place(self._plan.module + ".py"),
                        mend="look at the lines above; memory may have run out.",
                    )
            else:
                number, reader = key.data
                yield from self._read(number, reader)
        for message in ended:
            yield from self._end(int(str(message["ended"])), int(str(message["status"])))

    def _read(self, number: int, reader: int) -> Iterator[tuple[TaskRequest, Stream, str]]:
        child = self._children.get(number)
        if child is None or reader not in child.outputs:
            return
        try:
            data = os.read(reader, 1 << 16)
        except BlockingIOError:
            return
        stream = child.outputs[reader]
        if not data:
            self._forget(child, reader)
            return
        for line in child.log.feed(stream, data.decode("utf-8", "surrogateescape")):
            yield child.request, stream, line

    def _forget(self, child: _Child, reader: int) -> None:
        self._selector.unregister(reader)
        os.close(reader)
        del child.outputs[reader]

    def _end(self, number: int, status: int) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]:
        child = self._children[number]
        for reader in list(child.outputs):
            while reader in child.outputs:
                before = len(child.outputs)
                lines = list(self._read(number, reader))
                yield from lines
                if not lines and len(child.outputs) == before:
                    self._forget(child, reader)  # a grandchild holds it open: the task is over all the same
        for stream, text in child.log.close():
            yield child.request, stream, text
        del self._children[number]
        key = TaskKey(self._plan.flow, child.request.run, child.request.step, child.request.task)
        attempts = self._datastore.attempts(key)
        kept = child.log.to_bytes()
        if attempts and kept:
            self._datastore.write_log(key, attempts[-1], kept)
        yield Ended(child.request, status)

    def close(self, *, kill: bool = False) -> None:
        if kill and self._ready:
            socket.send_fds(self._link, [nursery.encode({"stop": True})], [])
            deadline = time.monotonic() + 5
            while self._children and time.monotonic() < deadline:
                for _ in self.poll():
                    pass
        self._link.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for child in self._children.values():
            for reader in list(child.outputs):
                self._forget(child, reader)
        self._selector.close()


class InProcessExecutor:
    """One task after another in this process, for a debugger."""

    def __init__(self, plan: Plan, flow: type[FlowSpec], datastore: Datastore) -> None:
        self._plan = plan
        self._flow = flow
        self._datastore = datastore
        self._queue: deque[TaskRequest] = deque()

    def submit(self, request: TaskRequest) -> None:
        self._queue.append(request)

    def poll(self) -> Iterator[Ended | tuple[TaskRequest, Stream, str]]:
        request = self._queue.popleft()
        key = TaskKey(self._plan.flow, request.run, request.step, request.task)
        attempt = claim(self._datastore, self._plan, request)
        status = 0
        with captured() as log:
            try:
                Task(self._datastore, self._plan, self._flow, request, attempt).run()
            except AirloomError as error:
                traceback.print_exception(error.__cause__ or error)
                status = 1
        self._datastore.write_log(key, attempt, log.to_bytes())
        yield Ended(request, status)

    def close(self, *, kill: bool = False) -> None:
        self._queue.clear()


class LocalRun:
    """Drives one run: starts what is ready, counts what has arrived at joins."""

    def __init__(self, datastore: Datastore, plan: Plan, executor: Executor, reporter: Reporter) -> None:
        self._datastore = datastore
        self._plan = plan
        self._executor = executor
        self._reporter = reporter
        self._ready: deque[tuple[str, Indices, int]] = deque()
        self._running = 0
        self._arrived: dict[tuple[str, Indices], int] = {}
        self._widths: dict[tuple[str, Indices], int] = {}
        self._failed = False
        self._joins = {step.joins: step.name for step in plan.steps if step.joins is not None}

    def execute(self, record: RunRecord, workers: int) -> bool:
        """Run it; return whether every task succeeded.

        A failed task lets those that run already come to their end, and starts no others.
        """
        self._reporter.run_started(self._plan, record.run)
        self._ready.append((self._plan.start, (), 0))
        killed = True
        try:
            while self._running or (self._ready and not self._failed):
                while self._ready and self._running < workers and not self._failed:
                    self._start(record.run, *self._ready.popleft())
                for event in self._executor.poll():
                    self._take(event)
            killed = False
        finally:
            self._executor.close(kill=killed)
        self._datastore.end_run(self._plan.flow, record.run, not self._failed)
        self._reporter.run_ended(record.run, not self._failed)
        return not self._failed

    def _start(self, run: str, step: str, indices: Indices, retry_count: int) -> None:
        last = retry_count >= self._plan.step(step).retry.times
        request = TaskRequest(run, step, task_id(indices), retry_count, last, origin={"scheduler": "local"})
        self._running += 1
        self._reporter.task_started(self._key(request), retry_count)
        self._executor.submit(request)

    def _key(self, request: TaskRequest) -> TaskKey:
        return TaskKey(self._plan.flow, request.run, request.step, request.task)

    def _take(self, event: Ended | tuple[TaskRequest, Stream, str]) -> None:
        if not isinstance(event, Ended):
            self._reporter.line(self._key(event[0]), event[1], event[2])
            return
        self._running -= 1
        request, key = event.request, self._key(event.request)
        indices = indices_of(request.task, self._plan.step(request.step).depth)
        found = self._datastore.done_attempt(key) if event.status == 0 else None
        if found is not None:
            self._reporter.task_ended(key, None, retried=False)
            self._follow(request.step, indices, found[1].outcome)
            return
        again = not request.last_try
        self._reporter.task_ended(key, self._problem(key, event.status), retried=again)
        if again:
            self._ready.appendleft((request.step, indices, request.retry_count + 1))
        else:
            self._failed = True

    def _problem(self, key: TaskKey, status: int) -> str:
        if status < 0:
            return f"was killed by signal {-status}"
        attempts = self._datastore.attempts(key)
        failed = self._datastore.failed(key, attempts[-1]) if attempts else None
        if failed is None:
            return f"ended with status {status}"
        return f"{failed.error_type}: {failed.message.splitlines()[0] if failed.message else ''}"

    def _follow(self, step: str, indices: Indices, outcome: Outcome) -> None:
        plan = self._plan.step(step)
        if plan.transition.kind in ("foreach", "parallel"):
            width = outcome.cardinality or 0
            self._widths[step, indices] = width
            (target,) = outcome.targets
            self._ready.extend((target, (*indices, index), 0) for index in range(width))
            if width == 0:
                self._ready.append((self._joins[step], indices, 0))
            return
        for target in outcome.targets:
            self._arrive(target, indices)

    def _arrive(self, target: str, indices: Indices) -> None:
        split = self._plan.step(target).joins
        if split is None:
            self._ready.append((target, indices, 0))
            return
        at = indices[: self._plan.step(target).depth]
        place = (target, at)
        self._arrived[place] = self._arrived.get(place, 0) + 1
        wanted = self._widths.get((split, at)) or len(self._plan.step(split).transition.targets)
        if self._arrived[place] == wanted:
            del self._arrived[place]
            self._ready.append((target, at, 0))

"""A process that has the flow loaded and forks one child a task: milliseconds, not an interpreter each.

It is started by `runtime.local`, speaks with it over a socket, and runs no thread, so that
forking is safe. (The forkserver of the standard library does not put the flow's folder on
its path before it preloads, in no version from 3.10 to 3.13.)

Messages are JSON lines. To the nursery: first a `Setup`, then a `TaskRequest` with its
number and two descriptors for the child's output. From it: ``{"ready": true}`` or
``{"error": ...}``, then ``{"ended": number, "status": code}`` for each child.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from airloom import codec
from airloom.errors import AirloomError
from airloom.flow.spec import FlowSpec
from airloom.plan import Plan
from airloom.runtime.code import import_flow
from airloom.runtime.task import Task, TaskRequest, claim
from airloom.settings import Settings
from airloom.store.datastore import Datastore

_MESSAGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Setup:
    """What the nursery loads before its first task."""

    file: str
    flow: str
    plan: str
    settings: Settings


def encode(message: object) -> bytes:
    """One message for the socket."""
    return codec.dumps(message) + b"\n"


class _Nursery:
    def __init__(self, link: socket.socket, datastore: Datastore, plan: Plan, flow: type[FlowSpec]) -> None:
        self._link = link
        self._datastore = datastore
        self._plan = plan
        self._flow = flow
        self._children: dict[int, int] = {}

    def serve(self) -> None:
        """Fork for each request, report each end; return when the other side is gone."""
        wake_r, wake_w = socket.socketpair()
        wake_r.setblocking(False)
        wake_w.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_w.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._link, selectors.EVENT_READ)
            selector.register(wake_r, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if wake_r in ready:
                    wake_r.recv(4096)
                    self._reap()
                if self._link in ready and not self._receive():
                    return

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._link, _MESSAGE, 2)
        if not data:
            return False
        message = json.loads(data)
        if "stop" in message:
            self.end_children(signal.SIGTERM)
            return True
        request = codec.from_json(TaskRequest, message["request"])
        pid = os.fork()
        if pid == 0:
            self._child(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children[pid] = message["number"]
        return True

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is not None:
                code = os.waitstatus_to_exitcode(status)
                self._link.sendall(encode({"ended": number, "status": code}))

    def end_children(self, how: signal.Signals) -> None:
        for pid in self._children:
            try:
                os.killpg(pid, how)
            except ProcessLookupError:
                continue

    def _child(self, request: TaskRequest, descriptors: list[int]) -> NoReturn:
        status = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._link.close()
            _own_output(descriptors)
            _own_randomness()
            attempt = claim(self._datastore, self._plan, request)
            Task(self._datastore, self._plan, self._flow, request, attempt).run()
            status = 0
        except AirloomError as error:
            cause = error.__cause__
            if cause is not None:
                traceback.print_exception(cause)
            print(error, file=sys.stderr)  # noqa: T201 - the child's output is the task's log
        except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
            traceback.print_exc()
        finally:
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _own_output(descriptors: list[int]) -> None:
    for descriptor, target in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _own_randomness() -> None:
    # The random module seeds itself anew in a forked child, NumPy's global generator does not.
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def main() -> int:
    """Serve one local run; the socket's descriptor is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=int(sys.argv[1]))
    setup = codec.loads(Setup, link.recv(_MESSAGE))
    try:
        datastore = Datastore.open(setup.settings)
        plan = datastore.plan(setup.flow, setup.plan)
        flow = import_flow(Path(setup.file), setup.flow)
    except Exception:  # noqa: BLE001 - told to the other side, which reports it
        link.sendall(encode({"error": traceback.format_exc()}))
        return 1
    link.sendall(encode({"ready": True}))
    nursery = _Nursery(link, datastore, plan, flow)
    try:
        nursery.serve()
    finally:
        nursery.end_children(signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())

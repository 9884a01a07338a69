"""A process that has the flow loaded and forks one child a task: milliseconds, not an interpreter each.

It is started by `runtime.executors`, speaks with it over a socket, and runs no thread, so that
forking is safe: it never reads the store, whose client may have threads. (The forkserver of the
standard library does not put the flow's folder on its path before it preloads, in no version from
3.10 to 3.13.)

Messages are JSON lines. To the nursery: first a `Setup` and the plan, then a `TaskRequest` with its
number and two descriptors for the child's output, or ``{"stop": signal}`` for all children.
From it: ``{"ready": true}`` or ``{"error": ...}``, then for each child ``{"number", "pid"}``
and at its end ``{"number", "pid", "status", "peak_memory_mib", "cpu_s", "out_of_memory"}``.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from airloom import codec
from airloom.errors import AirloomError, StepFailed
from airloom.flow.spec import FlowSpec
from airloom.plan import Plan
from airloom.runtime import groups
from airloom.runtime.code import import_flow
from airloom.runtime.logs import tell
from airloom.runtime.task import Task, TaskRequest
from airloom.runtime.usage import peak_mib
from airloom.settings import Settings
from airloom.store.datastore import Datastore

_MESSAGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Setup:
    """What the nursery loads before its first task."""

    file: str
    flow: str
    settings: Settings


def encode(message: object) -> bytes:
    """One message for the socket."""
    return codec.dumps(message) + b"\n"


class _Nursery:
    def __init__(
        self, link: socket.socket, datastore: Datastore, plan: Plan, flow: type[FlowSpec], *, seeded: set[str]
    ) -> None:
        self._link = link
        self._datastore = datastore
        self._plan = plan
        self._flow = flow
        self._seeded = seeded
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
        # A message with descriptors comes alone; of those without, several may come at once.
        for line in data.splitlines():
            message = json.loads(line)
            if "stop" in message:
                self.end_children(signal.Signals(message["stop"]))
            else:
                self._fork(message["number"], codec.from_json(TaskRequest, message["request"]), descriptors)
        return True

    def _fork(self, number: int, request: TaskRequest, descriptors: list[int]) -> None:
        state = random.getstate() if "random" in self._seeded else None
        _flush()  # what the flow's file has printed is no task's output
        pid = os.fork()
        if pid == 0:
            if state is not None:
                random.setstate(state)
            self._child(request, descriptors)
        with suppress(OSError):  # whichever of the two is first: a signal to the group finds it
            os.setpgid(pid, pid)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children[pid] = number
        self._tell({"number": number, "pid": pid})

    def _reap(self) -> None:
        while self._children:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is not None:
                kills, peak = groups.leave(pid) or (0, None)
                message = {
                    "number": number,
                    "pid": pid,
                    "status": os.waitstatus_to_exitcode(status),
                    "peak_memory_mib": max(peak_mib(used), peak or 0.0),
                    "cpu_s": used.ru_utime + used.ru_stime,
                    "out_of_memory": kills > 0,
                }
                self._tell(message)

    def _tell(self, message: object) -> None:
        # When the other side is gone, the next look at the link ends the nursery.
        with suppress(BrokenPipeError):
            self._link.sendall(encode(message))

    def end_children(self, how: signal.Signals) -> None:
        for pid in self._children:
            end_group(pid, how)

    def _child(self, request: TaskRequest, descriptors: list[int]) -> NoReturn:
        status = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            atexit._clear()  # noqa: SLF001 - what was registered before the fork is the nursery's
            self._link.close()
            _own_output(descriptors)
            if "numpy" not in self._seeded:
                _own_randomness()
            task = Task(self._datastore, self._plan, self._flow, request)
            if request.killed is None:
                task.run()
            else:
                mend = "look at its attempt's log; it may need more memory than there is."
                task.give_up(StepFailed(request.killed, where=task.key.pathspec, mend=mend))
            status = 0
        except AirloomError as error:
            tell(error)
        except BaseException:  # the child ends here, whatever it was
            traceback.print_exc()
        finally:
            try:
                _finish()
            finally:
                os._exit(status)


def _finish() -> None:
    """Do what an interpreter does at its end: what the user's code leaves behind ends with the task."""
    try:
        # Joins the threads; idle ones of an executor that was not shut down are told to end first.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - multiprocessing's way, too
        atexit._run_exitfuncs()  # noqa: SLF001 - os._exit runs none
        pools = sys.modules.get("multiprocessing.util")
        if pools is not None:
            pools._exit_function()  # noqa: SLF001 - it was registered before the fork, or has run already
    except BaseException:
        traceback.print_exc()
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def end_group(pid: int, how: signal.Signals) -> None:
    """Send a signal to a task's process and to all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, how)


def _own_output(descriptors: list[int]) -> None:
    for descriptor, target in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing:
        os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _own_randomness() -> None:
    # The random module seeds itself anew in a forked child, NumPy's global generator does not.
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


@contextmanager
def _noting_seeds() -> Iterator[set[str]]:
    """Note which global generators the flow's file seeds while it is imported.

    What it seeds itself stays so in every task, as where each task imports the file.
    """
    seeded: set[str] = set()
    plain = random.seed

    def seed(*arguments: Any, **keywords: Any) -> None:
        if keywords or arguments not in ((), (None,)):
            seeded.add("random")
        plain(*arguments, **keywords)

    random.seed = seed
    try:
        yield seeded
    finally:
        random.seed = plain
    numpy = sys.modules.get("numpy.random")
    if numpy is not None and getattr(numpy.mtrand._rand._bit_generator, "_seed_seq", True) is None:  # noqa: SLF001
        seeded.add("numpy")


def main() -> int:
    """Serve one local run; the socket's descriptor is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket.socket(fileno=int(sys.argv[1]))
    received = b""
    while received.count(b"\n") < 2:
        data = link.recv(_MESSAGE)
        if not data:
            return 0  # the flow could not be compiled
        received += data
    first, second, _ = received.split(b"\n")
    setup = codec.loads(Setup, first)
    sys.argv[:] = [setup.file]
    try:
        datastore = Datastore.open(setup.settings)
        plan = Plan.from_bytes(second)
        with _noting_seeds() as seeded:
            flow = import_flow(Path(setup.file), setup.flow)
    except AirloomError as error:
        link.sendall(encode({"error": str(error)}))
        return 1
    except Exception:  # told to the other side, which reports it
        link.sendall(encode({"error": traceback.format_exc()}))
        return 1
    link.sendall(encode({"ready": True}))
    nursery = _Nursery(link, datastore, plan, flow, seeded=seeded)
    try:
        nursery.serve()
    finally:
        nursery.end_children(signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())

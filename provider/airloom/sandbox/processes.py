"""Processes of a sandbox: start them, find all of them again, end them.

What belongs to a sandbox is found in three ways, because none suffices:

- by session: every component leads one, and its forks stay in it. The environment of most
  cannot be read, because ``setproctitle`` writes over it;
- by environment: a user's subprocess may lead a session of its own, but inherits AIRFLOW_HOME;
- by parent, for what has neither.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One living process; ``started`` tells it from a later one with the same pid."""

    pid: int
    parent: int
    session: int
    started: str


def table() -> dict[int, Process]:
    """All living processes of this host that are not zombies, by pid."""
    if not _PROC.joinpath("self", "stat").exists():
        return _table_of_ps()
    found = {}
    for folder in _PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # The name in parentheses may hold spaces and parentheses itself.
            fields = folder.joinpath("stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            pid = int(folder.name)
            found[pid] = Process(pid, int(fields[1]), int(fields[3]), fields[19])
    return found


def _table_of_ps() -> dict[int, Process]:
    # No session there: the process group stands in for it.
    listed = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,pgid=,lstart="],  # noqa: S607 - its folder differs by system
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for line in listed.stdout.splitlines():
        pid, parent, group, started = line.split(None, 3)
        found[int(pid)] = Process(int(pid), int(parent), int(group), started)
    return found


def belonging(leaders: Iterable[int], home: Path) -> list[Process]:
    """Living processes of a sandbox: see the module.

    Parameters
    ----------
    leaders
        Pids of its components, also of ones that have ended: a session outlives its leader.
    home
        Its AIRFLOW_HOME.
    """
    living = table()
    sessions = frozenset(leaders)
    marker = f"AIRFLOW_HOME={home}".encode()
    ours = {
        pid
        for pid, process in living.items()
        if pid in sessions or process.session in sessions or marker in _environment(pid)
    }
    grown = True
    while grown:
        children = {pid for pid, process in living.items() if process.parent in ours} - ours
        ours |= children
        grown = bool(children)
    ours.discard(os.getpid())
    return [living[pid] for pid in sorted(ours)]


def _environment(pid: int) -> list[bytes]:
    try:
        return _PROC.joinpath(str(pid), "environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or somebody else's
        return []


def spawn(
    command: list[str], environment: Mapping[str, str], folder: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, its output appended to ``log``."""
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(processes: Iterable[Process], signal_: signal.Signals) -> None:
    """Send a signal to each that still is the process it was."""
    living = table()
    for process in processes:
        now = living.get(process.pid)
        if now is not None and now.started == process.started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal_)


def end_all(leaders: Iterable[int], home: Path, timeout_s: float = 5.0) -> list[Process]:
    """End every process of a sandbox at once; returns those that do not end, which is none.

    They are looked up again until nothing is left: one may fork while the others are ended.
    """
    leaders = tuple(leaders)
    deadline = time.monotonic() + timeout_s
    while left := belonging(leaders, home):
        if time.monotonic() > deadline:
            return left
        end(left, signal.SIGKILL)
        time.sleep(0.02)
    return []


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nobody listens right now; all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def tail(log: Path, lines: int = 20) -> str:
    """Last lines of a log; empty when there is none."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])

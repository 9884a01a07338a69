"""Which processes a sandbox has started, kept where a later one of the same folder finds it.

``processes.json``: the pids of the components, with the boot they belong to.
``lock``: held by the process that started them for as long as it lives.
"""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import IO

from airloom.errors import DeployError
from airloom.sandbox.processes import table

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Record:
    """The record of one sandbox folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "processes.json"
        self._lock_file = folder / "lock"
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """Become the only one that starts or ends processes of this folder.

        Raises
        ------
        DeployError
            When another living process is.
        """
        if self._lock is not None:
            return
        lock = self._lock_file.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise DeployError(
                "another process runs an Airflow in this folder",
                where=str(self._lock_file.parent),
                mend="end it, or use another folder.",
            ) from None
        self._lock = lock

    def release(self) -> None:
        """Let others start or end processes of this folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write(self, pids: list[int]) -> None:
        """Keep the pids of the components that run, and that have run: their children may live on."""
        living = table()
        started = {str(pid): living[pid].started for pid in pids if pid in living}
        self._file.write_text(json.dumps({"boot": _boot(), "started": {**self._started(), **started}}))

    def read(self) -> list[int]:
        """Give the recorded pids that nobody else can have got since.

        A pid stays taken while its session has members; after a reboot, or where another
        process has it now, the record says nothing.
        """
        living = table()
        return [
            int(pid)
            for pid, started in self._started().items()
            if int(pid) not in living or living[int(pid)].started == started
        ]

    def _started(self) -> dict[str, str]:
        try:
            record = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return dict(record["started"]) if record["boot"] == _boot() else {}

    def forget(self) -> None:
        """Say that nothing runs."""
        self._file.unlink(missing_ok=True)


def _boot() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else ""

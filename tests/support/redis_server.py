"""A Redis of the tests' own: nothing on disk, on a free port of 127.0.0.1, behind a password."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airloom.sandbox.processes import free_ports

_START_S = 30.0


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a server whose log lies in ``folder``, and give its address as Celery writes it."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis is installed: apt-get install redis-server")
    port, password = free_ports(1)[0], secrets.token_urlsafe(12)
    log = folder / "redis.log"
    # By standard input: the list of processes shows arguments to everybody.
    settings = f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
    with log.open("wb") as out:
        server = subprocess.Popen(
            [program, "-"], cwd=folder, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        assert server.stdin is not None
        server.stdin.write(settings.encode())
        server.stdin.close()
        _wait(server, port, log)
        yield f"redis://:{password}@127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Redis does not answer\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return

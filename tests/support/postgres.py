"""A PostgreSQL of the tests' own: a fresh cluster in a temporary folder, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airloom.sandbox.processes import free_ports

# Debian keeps initdb and its like out of the path, a folder a version.
_DEBIAN = Path("/usr/lib/postgresql")
# What is lost with the machine is lost with the test anyway.
_FAST = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"]


def _programs() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = [folder for folder in _DEBIAN.glob("*/bin") if (folder / "initdb").exists()]
    if not versions:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    return max(versions, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.parent.name)])


def _user() -> str | None:
    """Who runs the server: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server, and give the address of its database: ``user:password@host:port/name``."""
    programs, user = _programs(), _user()
    # pytest's own temporary folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="airloom-postgres-") as made:
        folder = Path(made)
        password, secret = secrets.token_urlsafe(12), folder / "password"
        secret.write_text(password)
        if user is not None:
            for path in (folder, secret):
                shutil.chown(path, user)
        cluster, port = folder / "cluster", free_ports(1)[0]

        def run(program: str, *arguments: str) -> None:
            done = subprocess.run(
                [str(programs / program), "-D", str(cluster), *arguments],
                user=user,
                cwd=folder,
                # Its own output would keep ours open for as long as the server lives.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode:
                log = folder / "log"
                raise RuntimeError(f"{program} ended with {done.returncode}\n{_text(log)}")

        login = ["--username=airflow", "--auth=scram-sha-256", f"--pwfile={secret}"]
        run("initdb", *login, "--encoding=UTF8", "--no-locale", "--no-sync")
        settings = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}", *_FAST]
        options = " ".join(f"-c {setting}" for setting in settings)
        run("pg_ctl", "start", "-w", "-t", "60", "-l", str(folder / "log"), "-o", options)
        try:
            yield f"airflow:{password}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""

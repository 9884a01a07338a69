"""Object stores for tests: moto's S3, azurite, a shim of Google's; each started once, on 127.0.0.1.

A test that uses one is marked ``store``. The fixtures give buckets of their own, and put what a
person would have in the environment: the server's address and credentials.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from support.fault_proxy import FaultProxy, fault_proxy

AZURITE = "3.35.0"
# Both are in azurite's documentation, the same for everybody.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Server:
    """A running object store."""

    kind: str
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self) -> str:
        """Make a bucket, and give its URL."""
        name = f"bucket{uuid4().hex[:12]}"
        if self.kind == "az":
            _azure_container(self.port, name)
        else:
            _request(f"{self.url}/{name}", "PUT")
        return f"{self.kind}://{name}"

    def requests(self) -> list[str]:
        """Requests since the last `forget`: method, path and query; not of azurite."""
        return _request(f"{self.url}/-/requests", "GET").decode().splitlines()

    def forget(self) -> None:
        _request(f"{self.url}/-/requests", "DELETE")


def _request(url: str, method: str, headers: Mapping[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def _azure_container(port: int, name: str) -> None:
    date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    version = "2023-11-03"
    signed = "\n".join(
        [
            "PUT",
            *[""] * 11,
            f"x-ms-date:{date}",
            f"x-ms-version:{version}",
            f"/{ACCOUNT}/{ACCOUNT}/{name}",
            "restype:container",
        ]
    )
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {ACCOUNT}:{signature}",
    }
    _request(f"http://127.0.0.1:{port}/{ACCOUNT}/{name}?restype=container", "PUT", headers)


@contextmanager
def running(command: list[str], port: str) -> Iterator[int]:
    """Run a server that prints a line with its port; ``port`` is the pattern that finds it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said: list[str] = []
    # A full pipe would stop the server.
    rest = threading.Thread(target=process.stdout.read)
    try:
        for line in process.stdout:
            said.append(line)
            if match := re.search(port, line):
                rest.start()
                yield int(match[1])
                return
        pytest.fail(f"{command} did not start: {''.join(said)}")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if rest.ident is not None:
            rest.join()
        process.stdout.close()


def _ours(kind: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("object_servers.py")), kind]


@contextmanager
def served_s3() -> Iterator[Server]:
    """Run moto's S3."""
    with running(_ours("s3"), r"^(\d+)$") as port:
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        yield Server("s3", port, environment)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """moto's S3."""
    pytest.importorskip("moto", reason="moto is not installed")
    with served_s3() as server:
        yield server


@pytest.fixture(scope="session")
def gs_server() -> Iterator[Server]:
    """A translation of Google's interface to moto's S3: it proves our code's way, not Google's."""
    pytest.importorskip("moto", reason="moto is not installed")
    with running(_ours("gs"), r"^(\d+)$") as port:
        environment = {"GOOGLE_BASE_URL": f"http://127.0.0.1:{port}", "GOOGLE_BEARER_TOKEN": "test"}
        yield Server("gs", port, environment)


@pytest.fixture(scope="session")
def az_server() -> Iterator[Server]:
    """azurite, Microsoft's emulator of its Blob Storage."""
    program = _azurite()
    options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry"]
    with running(
        [str(program), *options, "--skipApiVersionCheck"], r"listens on http://127.0.0.1:(\d+)"
    ) as port:
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{ACCOUNT}",
        }
        yield Server("az", port, environment)


def _azurite() -> Path:
    """Program of azurite, installed once a machine."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("azurite needs node and npm, which are not installed")
    folder = Path.home() / ".cache" / "airloom-tests" / f"azurite-{AZURITE}"
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        # Complete or not at all, also when several test processes install it at once.
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        making.mkdir(parents=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(making)]
        done = subprocess.run([*command, f"azurite@{AZURITE}"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(making)
            pytest.skip(f"npm could not install azurite: {done.stderr.strip()[-200:]}")
        try:
            making.rename(folder)
        except OSError:
            shutil.rmtree(making)  # another one was faster
    return program


_NAMES = re.compile(r"(AWS|AZURE|GOOGLE|AIRLOOM)_")


def only(server: Server, **others: str) -> dict[str, str]:
    """Give an environment in which the server is the only cloud there is."""
    kept = {name: value for name, value in os.environ.items() if not _NAMES.match(name)}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **server.environment, **others}


def enter(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find the server and its credentials as a person's would."""
    for name in [name for name in os.environ if _NAMES.match(name) and not name.startswith("AIRLOOM_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty folder in an empty bucket of S3, which this process can enter."""
    enter(s3_server, monkeypatch)
    return f"{s3_server.bucket()}/a folder/ü"


@pytest.fixture
def gs(gs_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty folder in an empty bucket of Google's."""
    enter(gs_server, monkeypatch)
    return f"{gs_server.bucket()}/folder"


@pytest.fixture
def az(az_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty Azure container, which this process can enter."""
    enter(az_server, monkeypatch)
    return az_server.bucket()


@pytest.fixture
def proxied(s3_server: Server, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy before S3, which this process takes for the server; see `s3` for a folder."""
    with fault_proxy(s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy

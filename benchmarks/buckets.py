"""Objects in a bucket of S3, from one server on this machine's loopback, each time in a fresh process."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import CHILDREN, Bench, ChildFailed, Row, environment, split, told

_OBJECTS = 256
_BUCKET = "bench"


def s3(bench: Bench) -> Iterator[Row]:
    """256 objects of 1 MiB put and got: beside metaflow.S3, and beside boto3 on threads."""
    with bench.fresh() as home, _server(bench, home) as endpoint:

        def side(python: Path, script: str, folder: Path) -> tuple[float, float]:
            _empty(endpoint)
            both = [told(python, script, folder, verb, endpoint, _BUCKET, str(_OBJECTS)) for verb in _VERBS]
            return float(both[0]["wall"]), float(both[1]["wall"])

        for peer, script, target in (
            ("metaflow.S3", "bucket_metaflow.py", 0.5),
            ("boto3, 16 threads", "bucket_boto3.py", 1.0),
        ):
            found = bench.pairs(
                3,
                lambda folder: side(bench.ours, "bucket_airloom.py", folder),
                lambda folder, script=script: side(bench.theirs, script, folder),  # type: ignore[misc]
            )
            for place, verb in enumerate(_VERBS):
                sides = split([(ours[place], theirs[place]) for ours, theirs in found])
                yield Row(f"{verb} {_OBJECTS} x 1 MiB, S3", peer, "s", *sides, target=target)


_VERBS = ("put", "get")


@contextmanager
def _server(bench: Bench, home: Path) -> Iterator[str]:
    """URL of a server of S3 that keeps objects in its memory."""
    command = [bench.ours, CHILDREN / "s3_server.py"]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment(home), stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        if not port:
            raise ChildFailed(f"the server did not start:\n{(home / 'server.log').read_text()[-3000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _empty(endpoint: str) -> None:
    """Let the server have one empty bucket."""
    for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{_BUCKET}")):
        request = urllib.request.Request(f"{endpoint}{path}", method=method)
        with urllib.request.urlopen(request):
            pass

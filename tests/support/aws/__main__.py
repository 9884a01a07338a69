"""The emulator's server: ``python -m support.aws --runner process --folder DIR --image NAME=PYTHON``.

Prints its URL when it listens, and ends with its standard input: a killed test process leaves none behind.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from uuid import uuid4

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from support.aws import batch, ecs
from support.aws.control import Gate
from support.aws.docker_runner import DockerRunner
from support.aws.runners import ProcessRunner, Runner
from support.aws.world import World, begin


class QuietHandler(MotoRequestHandler):
    """Without a line for each request: the request log is asked for by control."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--runner", choices=("process", "docker"), required=True)
    asked.add_argument("--folder", type=Path, required=True)
    asked.add_argument("--image", action="append", default=[])
    asked.add_argument("--engine")
    told = asked.parse_args()
    runner: Runner
    if told.runner == "docker":
        runner = DockerRunner(told.engine, uuid4().hex)
    else:
        images = (image.rpartition("=") for image in told.image)
        runner = ProcessRunner(told.folder, {name: python or None for name, _, python in images})
    batch.install()
    ecs.install()
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True, request_handler=QuietHandler)
    url = f"http://127.0.0.1:{server.server_port}"
    begin(World(runner, url))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(url, flush=True)
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        server.shutdown()
        runner.close()


if __name__ == "__main__":
    main()

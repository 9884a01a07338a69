"""An object store as a process of its own: ``python object_servers.py s3|gs``.

Prints the free port of 127.0.0.1 that it listens on. ``s3`` is moto's S3. ``gs`` is a thin
translation of Google's XML interface to it, as far as our client speaks it: so it proves that
our code takes its way, and says nothing about Google's own server.

``GET /-/requests`` gives the requests so far, a line each; ``DELETE`` forgets them.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]

_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


class Counted:
    """Keeps a line for each request."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lines: list[str] = []

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/-/requests":
            query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
            self._lines.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{query}")
            return self._app(environ, start)
        body = "\n".join(self._lines).encode()
        if environ["REQUEST_METHOD"] == "DELETE":
            self._lines.clear()
        start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


class Atomic:
    """Lets one create-only request in at a time, as S3 does: moto looks first and writes then."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ or environ["REQUEST_METHOD"] != "PUT":
            return self._app(environ, start)
        # Before the lock: a body that does not come must not stop the others.
        if length := int(environ.get("CONTENT_LENGTH") or 0):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with self._lock:
            return self._app(environ, start)


class GoogleStorage:
    """Google's names of headers, and generations of objects, over an S3.

    One request at a time: whether an object's generation is the wanted one, and its change,
    are one step.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._generations: dict[str, int] = {}
        self._last = 1
        self._lock = threading.RLock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/moto-api"):
            return self._app(environ, start)
        with self._lock:
            return list(self._translated(environ, start))

    def _translated(self, environ: Environ, start: Start) -> Iterable[bytes]:
        key, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        wanted = environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None)
        if wanted is not None and int(wanted) != self._generations.get(key, 0):
            start("412 Precondition Failed", [("Content-Length", "0")])
            return [b""]
        environ["HTTP_AUTHORIZATION"] = _SIGNED
        for name in [name for name in environ if name.startswith("HTTP_X_GOOG_")]:
            environ[name.replace("X_GOOG", "X_AMZ")] = environ.pop(name)

        def begin(status: str, headers: list[tuple[str, str]], problem: Any = None) -> Any:
            if status.startswith("2"):
                if method == "DELETE":
                    self._generations.pop(key, None)
                elif method in ("PUT", "POST") and "partNumber" not in environ.get("QUERY_STRING", ""):
                    self._last += 1
                    self._generations[key] = self._last
            translated = [(name.replace("x-amz-", "x-goog-"), value) for name, value in headers]
            translated.append(("x-goog-generation", str(self._generations.get(key, 1))))
            return start(status, translated, problem)

        return self._app(environ, begin)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


def main() -> None:
    """Serve until the process is ended."""
    app: App = DomainDispatcherApplication(create_backend_app)
    app = GoogleStorage(app) if sys.argv[1] == "gs" else Atomic(app)
    server = make_server("127.0.0.1", 0, Counted(app), threaded=True, request_handler=_Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

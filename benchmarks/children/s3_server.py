"""A server of S3 on a free port of 127.0.0.1, which it prints."""

from __future__ import annotations

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Keeping(WSGIRequestHandler):
    """Connections stay open between requests, as those of a real server do."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No lines: they would be measured."""


if __name__ == "__main__":
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Keeping)
    print(server.server_port, flush=True)
    server.serve_forever()

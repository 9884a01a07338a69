"""A proxy between an object store and its client that spoils requests by a plan.

Every connection carries one request, so the plan decides by the request's number, counted from
0 as connections come in: the same plan does the same to the same client. It runs in threads of
the test's process and listens on 127.0.0.1.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PIECE = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    ``refuse``: the connection is reset at once. ``answer``: the proxy itself answers, status and
    code, as ``503 SlowDown``. ``sent`` and
    ``received``: it is cut after so many bytes of its own or of its answer; with ``politely`` the
    connection is closed as if all had been said, else reset. ``sent_all``: the store does what
    it is asked, and the answer is lost. ``silent``: nothing is ever answered. ``latency_s``:
    everything goes well, later.
    """

    refuse: bool = False
    answer: str = ""
    silent: bool = False
    sent_all: bool = False
    sent: int | None = None
    received: int | None = None
    politely: bool = False
    latency_s: float = 0.0


Plan = Callable[[int, str], "Fault | None"]
"""From a request's number and its first line to what happens to it."""


def never(number: int, line: str) -> Fault | None:
    """Spoil nothing."""
    return None


def at_random(seed: int, share: float, faults: list[Fault]) -> Plan:
    """Spoil a share of the requests, each by one of the faults; the same ones for the same seed."""

    def plan(number: int, line: str) -> Fault | None:
        drawn = random.Random(f"{seed} {number}")
        return drawn.choice(faults) if drawn.random() < share else None

    return plan


class FaultProxy:
    """The running proxy.

    ``begin`` follows a plan and counts from 0 again; ``lines`` are the requests since then, and
    ``spoilt`` how many of them were. ``deaf``: the store is never told to create only.
    """

    def __init__(self, target: int) -> None:
        self.plan: Plan = never
        self.deaf = False
        self.lines: list[str] = []
        self.spoilt = 0
        self._target = target
        self._number = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self, plan: Plan) -> None:
        """Follow a plan from its first request on."""
        with self._lock:
            self.plan, self._number, self.spoilt = plan, 0, 0
            self.lines.clear()

    def close(self) -> None:
        """Stop listening, and let go of every connection."""
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join(10)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                number, self._number = self._number, self._number + 1
            thread = threading.Thread(target=self._serve, args=(client, number), daemon=True)
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
            thread.start()

    def _serve(self, client: socket.socket, number: int) -> None:
        with client, suppress(OSError):
            client.settimeout(60)
            head, rest = _head(client)
            if not head:
                return
            line = head.split(b"\r\n", 1)[0].decode("latin-1")
            fault = self.plan(number, line) or Fault()
            with self._lock:
                self.lines.append(line)
                self.spoilt += fault != Fault()
            if fault.refuse:
                _reset(client)
            elif fault.silent:
                self._stopped.wait(60)
            else:
                self._relay(client, head, rest, fault)

    def _relay(self, client: socket.socket, head: bytes, rest: bytes, fault: Fault) -> None:
        time.sleep(fault.latency_s)
        length = int(_header(head, b"content-length") or 0)
        if fault.answer:
            _drain(client, length - len(rest))
            number, _, code = fault.answer.partition(" ")
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said the proxy</Message></Error>"
            client.sendall(
                f"HTTP/1.1 {number} {code}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            return
        if self.deaf:
            # As servers are that do not know the header.
            lines = head.split(b"\r\n")
            head = b"\r\n".join(line for line in lines if not line.lower().startswith(b"if-none-match:"))
        with socket.create_connection(("127.0.0.1", self._target), timeout=60) as store:
            store.sendall(_closing(head))
            store.sendall(rest[: fault.sent])
            passed = len(rest)
            while passed < length:
                if fault.sent is not None and passed >= fault.sent:
                    break
                piece = client.recv(_PIECE)
                if not piece:
                    return
                passed += len(piece)
                store.sendall(piece)
            if fault.sent is not None:
                _end(client, politely=fault.politely)
                _reset(store)
                return
            self._answer(client, store, fault)

    def _answer(self, client: socket.socket, store: socket.socket, fault: Fault) -> None:
        answer, rest = _head(store)
        if fault.sent_all:
            while store.recv(_PIECE):
                pass
            _reset(client)
            return
        client.sendall(_closing(answer))
        left = fault.received
        while rest:
            piece = rest if left is None else rest[:left]
            client.sendall(piece)
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    _end(client, politely=fault.politely)
                    return
            rest = store.recv(_PIECE)


@contextmanager
def fault_proxy(target: int) -> Iterator[FaultProxy]:
    """Run a proxy before the store at a port of 127.0.0.1."""
    proxy = FaultProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


def _head(source: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = source.recv(_PIECE)
        if not piece:
            return b"", b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    if not rest and head.startswith(b"HTTP/") and int(_header(head, b"content-length") or 1):
        rest = source.recv(_PIECE)
    return head, rest


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None


def _closing(head: bytes) -> bytes:
    """Say that the connection ends with this request, to either side."""
    lines = [
        line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"keep-alive:"))
    ]
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n"


def _drain(source: socket.socket, length: int) -> None:
    while length > 0 and (piece := source.recv(_PIECE)):
        length -= len(piece)


def _end(side: socket.socket, *, politely: bool) -> None:
    if politely:
        side.shutdown(socket.SHUT_WR)
    else:
        _reset(side)


def _reset(side: socket.socket) -> None:
    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    side.close()

"""A receiver: a real HTTP server on the loopback, whose answers a test chooses."""

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from devicehub.webhooks import claims, draining
from tests.conftest import holding

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Got:
    """What a receiver was sent."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = orjson.loads(self.raw)
        return parsed


@dataclass
class Receiver:
    """Answers `answers` one after the other, and the last of them from then on."""

    server: ThreadingHTTPServer
    got: list[Got] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=lambda: [(204, {}, b"")])
    before_answering: Callable[[], Any] = lambda: None

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def says(self, *statuses: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.answers = [(status, headers or {}, body) for status in statuses]

    def answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def types(self) -> list[str]:
        return [one.body["type"] for one in self.got]


def serve(address: str = "127.0.0.1", port: int = 0) -> Receiver:
    """A receiver that listens; the caller shuts its server down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            named = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append(Got(self.path, named, raw))
            receiver.before_answering()
            status, headers, body = receiver.answer()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    receiver = Receiver(server)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    return receiver


@pytest.fixture(autouse=True)
def by_hand(app: Flask) -> Iterator[None]:
    """What is due is sent by the test alone, and not by a server that another test has started."""
    with holding("webhooks", "tests"):
        yield


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = serve()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def private(using: Callable[..., Any]) -> Iterator[None]:
    """The loopback may be sent to."""
    with using(webhook_allow_private=True):
        yield


@pytest.fixture
def listen(client: FlaskClient, private: None, receiver: Receiver) -> Callable[..., dict[str, Any]]:
    """Make a webhook that leads to the receiver: `listen("device.created")`."""

    def make(*events: str, **fields: Any) -> dict[str, Any]:
        answer = client.post("/api/webhooks", json={"url": receiver.url, "events": list(events)} | fields)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return made

    return make


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key, and a certificate for hooks.example.com and localhost that it has signed itself."""
    path, own = tmp_path / "server.pem", tmp_path / "certificate.pem"
    names = "subjectAltName=DNS:hooks.example.com,DNS:localhost"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=hooks.example.com",
    ]
    subprocess.run([*command, "-addext", names, "-keyout", path, "-out", own], check=True, capture_output=True)
    path.write_text(path.read_text() + own.read_text())
    return path


def speak_tls(receiver: Receiver, certificate: Path) -> None:
    """From now on."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    receiver.server.socket = served.wrap_socket(receiver.server.socket, server_side=True)


def drain() -> int:
    """Send everything that is due, as the duty does, but here and now; how many webhooks that concerned."""
    drained = 0
    while webhook := claims.take():
        draining.drain(webhook)
        drained += 1
    return drained

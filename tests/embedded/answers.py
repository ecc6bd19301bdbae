"""The api of the stand-ins: it answers what it was told of, and holds streams open.

No more than the supervisor and the tests need of HTTP: to import the server of the standard library takes longer.
"""

import json
import os
import socket
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer


class Answers(StreamRequestHandler):
    health = "healthy"

    def handle(self) -> None:
        _method, path, _version = self.rfile.readline().split()
        while self.rfile.readline().strip():
            pass  # a header
        queue = "active" if self.health == "healthy" else "inactive"
        dependencies = {"mongodb": "connected", "redis": "connected", "queue": queue}
        body = {"status": self.health, "dependencies": dependencies, "environment": dict(os.environ)}
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(body).encode())
        if path == b"/stream":
            threading.Event().wait()


class Server(ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Who asked has hung up; the supervisor's output is no place to say so."""


def serve(fd: int, health: str) -> None:
    """Answer on an inherited socket until told to stop, whoever still listens to a stream."""
    Answers.health = health
    server = Server(("", 0), Answers, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=fd)
    server.serve_forever()

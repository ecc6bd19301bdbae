"""The api of the stand-ins: it answers what it was told of, and holds streams open."""

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answers(BaseHTTPRequestHandler):
    health = "healthy"

    def do_GET(self) -> None:
        queue = "active" if self.health == "healthy" else "inactive"
        dependencies = {"mongodb": "connected", "redis": "connected", "queue": queue}
        body = {"status": self.health, "dependencies": dependencies, "environment": dict(os.environ)}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
        if self.path == "/stream":
            self.wfile.flush()
            threading.Event().wait()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Who asked has hung up; the supervisor's output is no place to say so."""


def serve(fd: int, health: str) -> None:
    """Answer on an inherited socket until told to stop, whoever still listens to a stream."""
    Answers.health = health
    server = Server(("", 0), Answers, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=fd)
    server.daemon_threads = True
    server.serve_forever()

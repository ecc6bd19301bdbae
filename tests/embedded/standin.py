"""Small programs for the supervisor to run: `python -m tests.embedded.standin NAME ...`."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from devicehub.embedded import launch


def command(name: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.embedded.standin", name, *map(str, arguments))


def run(api: str = "api", worker: str = "worker", patience: str = "30") -> None:
    """What `python -m devicehub` does, with other programs for the api and the worker."""
    programs = launch.Programs(api=lambda fd: command(api, fd), worker=lambda: command(worker))
    sys.exit(launch.main(programs, healthy_within=float(patience)))


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


def api(fd: str) -> None:
    """Answers on an inherited socket until it is told to stop, whoever still listens to its stream."""
    server = Server(("", 0), Answers, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(fd))
    server.daemon_threads = True
    server.serve_forever()


def sick(fd: str) -> None:
    """An api whose health never comes."""
    Answers.health = "degraded"
    api(fd)


def lingering(fd: str) -> None:
    """An api that keeps its port for as long as it is let."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    api(fd)


def worker(*_: str) -> None:
    """Waits, and ends when it is told to."""
    signal.pause()


def stubborn(*_: str) -> None:
    """Refuses to end, and so does what it started: a process in a group of its own, as a job's is."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getpid() == os.getsid(0):
        subprocess.Popen(command("stubborn"), process_group=0)
    while True:
        signal.pause()


def doomed(*_: str) -> None:
    """Ends at once, and says why."""
    sys.exit("I was never meant to live.")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

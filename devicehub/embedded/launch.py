"""`make run`: MongoDB and Redis unless their addresses are given, then the api and the worker, kept alive."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicehub.core import running
from devicehub.embedded import interrupts, ports, servers
from devicehub.embedded.children import Child, Program, held
from devicehub.embedded.errors import EmbeddedError, FolderInUse
from devicehub.embedded.mongod import start_mongod
from devicehub.embedded.redis_server import start_redis
from devicehub.embedded.screen import Screen
from devicehub.embedded.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
HEALTHY_S = 30.0

Command = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the settings say about a run; see settings.py."""

    app_env: str
    var: str
    host: str
    port: int
    port_is_chosen: bool
    has_mongodb: bool
    has_redis: bool


def _api(listener: int) -> Command:
    """gunicorn on a socket that is open already: nobody can take the port from it, not even between restarts."""
    settings = str(ROOT / "devicehub/web/gunicorn.py")
    gunicorn = (sys.executable, "-m", "gunicorn", "--config", settings, "--pythonpath", str(ROOT))
    return (*gunicorn, "--bind", f"fd://{listener}", "wsgi:app")


def _worker() -> Command:
    return (sys.executable, str(ROOT / "worker.py"))


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The commands of what is run beside the servers; the api is given an open socket to listen on."""

    api: Callable[[int], Command] = _api
    worker: Callable[[], Command] = _worker


DEFAULTS = Programs()


def main(programs: Programs = DEFAULTS, *, healthy_within: float = HEALTHY_S) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code."""
    interrupts.listen_for(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        wishes = _wishes()
        var = Path(wishes.var)
        var.mkdir(parents=True, exist_ok=True)
        with _alone(var), _listener(wishes, var) as listener:
            _Run(wishes, var, listener).forever(programs, healthy_within)
    except EmbeddedError as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"DeviceHub cannot run here: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


class _Run:
    def __init__(self, wishes: Wishes, var: Path, listener: socket.socket) -> None:
        self.wishes, self.var, self.listener = wishes, var, listener
        host, self.port = listener.getsockname()
        self.host = ports.LOOPBACK if host == "0.0.0.0" else host  # noqa: S104 (compared, not bound)
        self.screen = Screen()
        self.supervisor = Supervisor(self.screen.say)

    def forever(self, programs: Programs, healthy_within: float) -> None:
        """Start everything, say where it is, keep it alive; whatever ends that, everything is stopped."""
        try:
            environment = self._environment() | self._start_servers()
            running.announce(self.var, environment)
            with self.screen.step("The api and the worker"):
                self._start_programs(programs, environment)
                health = self._await_health(healthy_within)
            url, in_development = f"http://{self.host}:{self.port}", self.wishes.app_env == "development"
            self.screen.ready(url, self.var, health, has_mail_page=in_development)
            self.supervisor.watch()
        finally:
            interrupts.ignore(signal.SIGTERM, signal.SIGHUP)
            self.screen.say("Stopping ...")
            running.withdraw(self.var)
            self.supervisor.stop()
            self.screen.say(f"Stopped. Your data is in {self.var}")

    def _start_servers(self) -> dict[str, str]:
        """Bring up what has no address yet; the addresses, as settings."""
        addresses = {}
        if not self.wishes.has_mongodb:
            with self.screen.quiet_step("MongoDB"):
                mongod = start_mongod(self.var)
                self.supervisor.add(mongod.child)
            addresses["MONGODB_URI"] = mongod.url
        if not self.wishes.has_redis:
            with self.screen.quiet_step("Redis"):
                redis = start_redis(self.var)
                self.supervisor.add(redis.child)
            addresses["REDIS_URL"] = redis.url
        return addresses

    def _environment(self) -> dict[str, str]:
        return {"APP_ENV": self.wishes.app_env, "DEVICEHUB_VAR": str(self.var), "PORT": str(self.port)}

    def _start_programs(self, programs: Programs, environment: dict[str, str]) -> None:
        fd = self.listener.fileno()
        api = Program(
            name="api",
            command=programs.api(fd),
            environment=environment,
            fds=(fd,),
            lock=self.var / "api.lock",
            orphan_signal=signal.SIGTERM,  # it has processes of its own to end
        )
        worker = Program(
            name="worker",
            command=programs.worker(),
            environment=environment,
            orphan_signal=signal.SIGTERM,
        )
        self.supervisor.add(Child(api), Child(worker))

    def _await_health(self, seconds: float) -> dict[str, Any]:
        """What /health says once it says healthy, or after `seconds`; ServerFailed if a child ends first."""
        deadline = time.monotonic() + seconds
        while True:
            interrupts.check()
            health = _health(self.host, self.port)
            if child := self.supervisor.dead():
                raise servers.failed(child, f"ended ({child.ending()}) before DeviceHub was healthy")
            if health.get("status") == "healthy" or time.monotonic() > deadline:
                return health
            time.sleep(0.05)


def _wishes() -> Wishes:
    """What the settings say; raises EmbeddedError with what is wrong with them."""
    command = [sys.executable, "-m", "devicehub.embedded.settings"]
    read = subprocess.run(  # noqa: S603 (no shell, and a program of our own)
        command, capture_output=True, text=True, start_new_session=True
    )
    if read.returncode != 0:
        raise EmbeddedError(read.stderr.strip())
    return Wishes(**json.loads(read.stdout))


def _health(host: str, port: int) -> dict[str, Any]:
    """The body of /health, empty while nobody answers. (An HTTP client would weigh on us all our life.)"""
    try:
        with socket.create_connection((host, port), timeout=0.5) as connection:
            connection.sendall(f"GET /health HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                body: dict[str, Any] = json.loads(answer.read().partition(b"\r\n\r\n")[2])
    except (OSError, ValueError):
        return {}
    return body


@contextlib.contextmanager
def _alone(var: Path) -> Iterator[None]:
    """Keep a second run out of `var`."""
    try:
        lock = held(var / "run.lock", seconds=0)
    except FolderInUse:
        already = (
            f"DeviceHub already runs on {var}. Stop it there with Ctrl-C, or set DEVICEHUB_VAR to another folder."
        )
        raise FolderInUse(already) from None
    with lock:
        yield


@contextlib.contextmanager
def _listener(wishes: Wishes, var: Path) -> Iterator[socket.socket]:
    """The api's socket: on PORT if that was set, else on the first free port from its default on."""
    listen = ports.listen if wishes.port_is_chosen else ports.listen_near
    with held(var / "api.lock"):  # the api of a run that was killed may need a moment to let go of its port
        listener = listen(wishes.port, wishes.host)
    with listener:
        yield listener

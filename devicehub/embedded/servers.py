"""What MongoDB and Redis have in common: a folder, a port near the wished one, and a child that serves it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devicehub.embedded import ports
from devicehub.embedded.children import Child, wait_until
from devicehub.embedded.errors import PortBusy, ServerFailed

READY_S = 30.0


class PortLost(Exception):
    """A stranger took the port between our look at it and the server's start."""


@dataclass(frozen=True)
class Server:
    """An embedded server that was seen to work; starting one on the same folder again gives the same address."""

    name: str
    url: str
    port: int
    child: Child

    @property
    def pid(self) -> int:
        return self.child.pid

    def stop(self) -> None:
        """End it gently."""
        self.child.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()


def home(folder: Path, name: str) -> Path:
    """The server's own folder under `folder`."""
    made = folder.resolve() / name
    made.mkdir(parents=True, exist_ok=True)
    return made


def start_near(port: int, note: Path, start: Callable[[int], Child]) -> tuple[int, Child]:
    """What `start` makes on the port of the last time, else on `port`, else on the next one that is free."""
    for candidate in ports.free_from(ports.remembered(note) or port):
        try:
            child = start(candidate)
        except PortLost:
            continue
        ports.remember(note, candidate)
        return candidate, child
    raise PortBusy(f"No free port from {port} on.")


@contextmanager
def serving(child: Child, port: int) -> Iterator[None]:
    """Start `child`, wait until `port` is its own, then do the block; if any of that fails, it ends."""
    try:
        child.start()
        wait_until(lambda: child.listens_on(port) or not child.is_running(), READY_S)
        if not child.listens_on(port):
            raise _not_listening(child, port)
        yield
    except BaseException:
        child.kill()
        raise


def _not_listening(child: Child, port: int) -> Exception:
    what = "does not listen" if child.is_running() else f"ended ({child.ending()})"
    child.kill()
    return failed(child, what) if ports.is_free(port) else PortLost()


def failed(child: Child, what: str) -> ServerFailed:
    """The error that says what became of `child`, and where to read more."""
    return ServerFailed(f"{child.name} {what}; see {child.program.log or 'what it printed above'}.")

"""A process that has imported what programs need, and forks one whenever it is asked: `python -m tests.nursery`.

To import it takes a program longer than most of what tests have it do. Nothing is connected to before the fork, and
nothing of the environment read. Whoever is born runs its program as `python -m` does, in an environment of its own.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from os import waitpid  # not gevent's
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST = 1 << 17


class Born:
    """A process that a nursery has forked, to be used as one of `subprocess.Popen` is."""

    def __init__(self, pid: int, ask: Callable[[object], int]) -> None:
        self.pid = pid
        self._ask = ask
        self._alive: int | None = os.pidfd_open(pid)
        self._code = 0

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._alive is not None:  # its number is its own until it was waited for
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Its exit code, if it has ended; negative: the signal."""
        if self._alive is not None:
            if not select.select([self._alive], [], [], 0)[0]:
                return None
            os.close(self._alive)
            self._alive, self._code = None, self._ask(self.pid)
        return self._code

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended."""
        if self._alive is not None:
            select.select([self._alive], [], [], timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code


class Nursery:
    """Where processes of one kind come from: "server" or "worker"."""

    def __init__(self, kind: str) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(60)
        command = [sys.executable, "-m", "tests.nursery", kind, str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])

    def bear(self, *program: str, environment: dict[str, str]) -> Born:
        """`python -m` with this program and its arguments, that prints to where we print now."""
        return Born(self._ask([program, environment]), self._ask)

    def _ask(self, wish: object) -> int:
        socket.send_fds(self._line, [json.dumps(wish).encode()], [1, 2])
        return int(self._line.recv(MOST))

    def close(self) -> None:
        self._line.close()
        self._process.wait(30)


def _server() -> Callable[[], int]:
    # As in an api process: gevent patches when gunicorn has been imported, and the application has not.
    import gunicorn.app.wsgiapp
    import gunicorn.http.wsgi
    import gunicorn.workers.ggevent  # noqa: F401
    from gevent import monkey

    import devicehub.core.config  # noqa: F401

    monkey.patch_all()
    from gevent.os import fork_gevent

    from devicehub import app  # noqa: F401
    from devicehub.features import doors

    [*doors("routes"), *doors("sockets")]
    return fork_gevent  # urllib3 has begun gevent's loop, and each needs one of its own


def _worker() -> Callable[[], int]:
    import worker  # noqa: F401
    from devicehub.features import doors
    from tests.jobs import deeds

    list(doors("jobs"))
    deeds.declare()
    return os.fork


def main(line: socket.socket, fork: Callable[[], int]) -> None:
    """Become each program that comes; say how one ended whose number comes."""
    gc.collect()
    gc.freeze()  # the collector of each would mark, and so copy, most of what it shares with us
    while True:
        asked, outputs, _, _ = socket.recv_fds(line, MOST, 2)
        if not asked:
            return
        wish = json.loads(asked)
        if isinstance(wish, int):
            answer = os.waitstatus_to_exitcode(waitpid(wish, 0)[1])
        elif (answer := fork()) == 0:
            break
        for output in outputs:
            os.close(output)
        line.send(b"%d" % answer)
    line.close()
    _become(*wish, outputs)


def _become(program: list[str], environment: dict[str, str], outputs: list[int]) -> None:
    for number, output in enumerate(outputs, 1):
        os.dup2(output, number)
        os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = program[1:]
    runpy.run_module(program[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    ours = socket.socket(fileno=int(sys.argv[2]))
    main(ours, {"server": _server, "worker": _worker}[sys.argv[1]]())

"""A process that is killed in the middle of a write: after MongoDB has it, before Redis is told.

`python -m tests.core.victims` makes one request, and is such a one.
"""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from flask import Flask

from devicehub.app import create_app
from devicehub.core import cache, clock, config, live, migrations
from devicehub.core.config import Settings
from devicehub.devices import sweeper


def write(app: Flask, method: str, path: str, headers: dict[str, str], body: Any) -> None:
    """Make one request and kill ourselves where the write is to be told of."""
    migrations.done.set()
    cache.current()._end = live.current().finish = _die
    with app.test_client() as client:
        client.open(path, method=method, headers=headers, json=body)


def sweep(_: Flask, later: float) -> None:
    """Sweep as if it were `later`, and kill ourselves where the first write is to be told of."""
    cache.current()._end = live.current().finish = _die
    with clock.moved(timedelta(seconds=later)):
        sweeper.sweep()


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def at_hand(settings: dict[str, Any]) -> Iterator[Callable[..., int]]:
    """Let victims die, one a call: `die(write, "POST", ...)` gives the code that it exited with.

    They are forks of one process that has an application and has connected to nothing, because to start
    takes each of them longer than all that it does.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_bear, args=(settings, theirs))
    parent.start()
    theirs.close()

    def die(victim: Callable[..., None], *args: Any) -> int:
        ours.send((victim, args))
        assert ours.poll(30), "the victim does not end"
        return int(ours.recv())

    try:
        yield die
    finally:
        ours.close()
        parent.join(10)
        parent.kill()


def _bear(settings: dict[str, Any], asked: Connection) -> None:
    app = create_app(Settings(_env_file=None, **settings))
    while True:
        try:
            victim, args = asked.recv()
        except EOFError:
            return
        child = os.fork()
        if child == 0:
            code = 1
            try:
                victim(app, *args)
                code = 0
            finally:
                os._exit(code)
        asked.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    write(create_app(config.load(_env_file=None)), *json.loads(sys.argv[1]))

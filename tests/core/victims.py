"""A process that is killed in the middle of a write: after MongoDB has it, before Redis is told."""

import os
import signal
from datetime import timedelta
from typing import Any

from devicehub.app import create_app
from devicehub.core import cache, clock, live, migrations
from devicehub.core.config import Settings
from devicehub.devices import sweeper


def die_after_write(settings: dict[str, Any], method: str, path: str, headers: dict[str, str], body: Any) -> None:
    """Make one request in an application of our own and kill ourselves where the write is to be told of."""
    app = create_app(Settings(_env_file=None, **settings))
    migrations.done.set()
    cache.current()._end = live.current().finish = _die
    with app.test_client() as client:
        client.open(path, method=method, headers=headers, json=body)


def die_after_sweep(settings: dict[str, Any], later: float) -> None:
    """Sweep as if it were `later`, and kill ourselves where the first write is to be told of."""
    create_app(Settings(_env_file=None, **settings))
    cache.current()._end = live.current().finish = _die
    with clock.moved(timedelta(seconds=later)):
        sweeper.sweep()


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

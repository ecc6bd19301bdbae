"""A process that is killed in the middle of a write: after MongoDB has it, before Redis is told."""

import os
import signal
from typing import Any

from devicehub.app import create_app
from devicehub.core import cache, live, migrations
from devicehub.core.config import Settings


def die_after_write(settings: dict[str, Any], method: str, path: str, headers: dict[str, str], body: Any) -> None:
    """Make one request in an application of our own and kill ourselves where the write is to be told of."""
    app = create_app(Settings(_env_file=None, **settings))
    migrations.done.set()
    cache.current()._end = live.current()._finish = _die
    with app.test_client() as client:
        client.open(path, method=method, headers=headers, json=body)


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

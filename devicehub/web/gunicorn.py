"""gunicorn's settings: `gunicorn -c devicehub/web/gunicorn.py wsgi:app`."""

import os
import signal
from typing import Any

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT') or 5000}"
worker_class = "gevent"
# Long polling breaks with two workers on one port; more processes are more ports (see docs/scaling.md).
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
worker_connections = 4000
keepalive = 15
graceful_timeout = 20
timeout = 60
accesslog = None
loglevel = "warning"


def post_worker_init(worker: Any) -> None:
    """Tell streams and sockets of the end: gunicorn tells a gevent worker nothing, and waits for them."""
    import gevent

    from devicehub.realtime import service as realtime

    handle_exit = worker.handle_exit

    def drain_then_exit(number: int, frame: Any) -> None:
        gevent.spawn(realtime.drain)  # a signal handler must not wait, and draining may
        handle_exit(number, frame)

    signal.signal(signal.SIGTERM, drain_then_exit)

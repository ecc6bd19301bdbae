"""The worker: takes jobs from the queue. Not gevent-patched: it forks a process for each job."""

import gc
import signal
import sys
import time

import structlog
from redis import Redis
from redis.exceptions import RedisError

from devicehub.base import create_base
from devicehub.core import config
from devicehub.core.queue import Worker
from devicehub.features import doors

log = structlog.get_logger("devicehub.worker")


def main() -> None:
    """Work until told to stop; a Redis that is away is waited for.

    Nothing here may use MongoDB: its client does not survive the fork, so each job connects for itself.
    """
    try:
        settings = config.load()
    except config.ConfigurationError as error:
        sys.exit(f"worker: {error}")
    app = create_base(settings)
    list(doors("jobs"))  # imported once here, not by every job
    gc.collect()
    gc.freeze()  # the collector of a job would mark, and so copy, most of what its process shares with us
    connection = Redis.from_url(settings.redis_address, socket_connect_timeout=2, health_check_interval=30)
    with app.app_context():
        while not _work(connection):
            time.sleep(1)


def _work(connection: Redis) -> bool:
    """Work until asked to stop (true), or driven off by an error (false)."""
    worker = None
    try:
        worker = Worker(connection)
        worker.work(logging_level="WARNING")
    except RedisError as error:  # also of its goodbye, when it was asked to stop
        log.warning("worker.redis_away", error=type(error).__name__)
    finally:  # RQ's handlers would ask a worker to stop that works no more
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return worker is not None and worker.is_leaving


if __name__ == "__main__":
    main()

"""The worker: takes jobs from the queue. Not gevent-patched: it forks a process for each job."""

import sys
import time

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Worker

from devicehub.app import create_app
from devicehub.core import config
from devicehub.core.queue import queue

log = structlog.get_logger("devicehub.worker")


def main() -> None:
    """Work until told to stop; a Redis that is away is waited for."""
    try:
        settings = config.load()
    except config.ConfigurationError as error:
        sys.exit(f"worker: {error}")
    app = create_app(settings)
    connection = Redis.from_url(settings.redis_address, socket_connect_timeout=2, health_check_interval=30)
    with app.app_context():
        while True:
            try:
                Worker([queue(connection)], connection=connection).work(logging_level="WARNING")
                return
            except RedisError as error:
                log.warning("worker.redis_away", error=type(error).__name__)
                time.sleep(1)


if __name__ == "__main__":
    main()

"""How the service is: which of its dependencies answer."""

import time
from typing import Any

import psutil

from devicehub import __version__
from devicehub.core import clock, migrations, mongo, queue, redis
from devicehub.core.redis import RedisAway
from devicehub.realtime import service as realtime


def health() -> dict[str, Any]:
    """Healthy; degraded when Redis or the workers are away; unhealthy when MongoDB is."""
    database = mongo.is_alive() and migrations.done.is_set()
    broker = redis.current().is_alive()
    workers = broker and _has_workers()
    return {
        "status": "unhealthy" if not database else "healthy" if broker and workers else "degraded",
        "dependencies": {
            "mongodb": "connected" if database else "disconnected",
            "redis": "connected" if broker else "disconnected",
            "queue": "active" if workers else "inactive",
        },
        "uptime": round(time.time() - psutil.Process().create_time(), 1),
        "timestamp": clock.rfc3339(clock.now()),
        "version": __version__,
    }


def is_ready() -> bool:
    """Whether requests can be served: MongoDB answers and is up to date, and this process is to stay."""
    return not realtime.is_draining() and mongo.is_alive() and migrations.done.is_set()


def _has_workers() -> bool:
    try:
        return queue.has_workers()
    except RedisAway:
        return False

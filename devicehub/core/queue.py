"""RQ: the transport of jobs, and whether anyone is there to take them."""

from redis import Redis as Client
from rq import Queue, Worker

from devicehub.core import redis

QUEUE = "devicehub"


def queue(connection: Client) -> Queue:
    """The queue the workers listen on."""
    return Queue(QUEUE, connection=connection)


def has_workers() -> bool:
    """Whether a worker is registered; raises RedisAway when Redis cannot tell."""
    return bool(redis.current().call(lambda client: Worker.count(connection=client)))

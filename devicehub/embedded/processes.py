"""The embedded servers, as `make run` and the tests start them."""

from devicehub.embedded.mongod import start_mongod
from devicehub.embedded.redis_server import start_redis
from devicehub.embedded.servers import Server

__all__ = ["Server", "start_mongod", "start_redis"]

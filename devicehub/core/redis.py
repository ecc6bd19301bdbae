"""Redis: one pool a process behind a breaker, and the identity of the server that answers."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool
from redis.exceptions import DataError, NoScriptError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.retry import Retry

from devicehub.core.breaker import Breaker
from devicehub.core.config import Settings

log = structlog.get_logger(__name__)

# Replies of a server that is there but cannot serve: its disk is full, or it is a replica left alone.
# What a script met there, Redis 6 tells behind words of its own, so redis-py makes no class of it.
_AWAY = re.compile(
    r"(?:Error running script .*: -)?(?:OOM|READONLY|MISCONF|NOREPLICAS|CLUSTERDOWN|MASTERDOWN)\b", re.DOTALL
)


class RedisAway(Exception):
    """Redis did not answer, or is being left alone for a moment because it did not."""


class Redis:
    """The process's way to Redis. Every call either answers or raises RedisAway, never waits long.

    `incarnation` is the `run_id` of the server that was connected to last; `failures` counts the calls that
    got no answer, so that a cache can tell that an invalidation of its own may be lost. A call that `loses`
    nothing then is not counted.
    """

    def __init__(self, url: str, *, timeout: float, rest: float = 1.0) -> None:
        self.url = url
        self.breaker = Breaker(rest)
        self.incarnation = ""
        self.failures = 0
        self.pool = ConnectionPool.from_url(
            url,
            max_connections=1000,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._greet,
        )
        self.client: Client = Client(connection_pool=self.pool)

    def _greet(self, connection: Connection) -> None:
        connection.on_connect()  # type: ignore[no-untyped-call]
        connection.send_command("INFO", "server")  # type: ignore[no-untyped-call]
        info = connection.read_response()  # type: ignore[no-untyped-call]
        text = info.decode() if isinstance(info, bytes) else str(info)
        self.incarnation = next(line[7:] for line in text.splitlines() if line.startswith("run_id:"))

    def call(self, ask: Callable[[Client], Any], *, loses: bool = True) -> Any:
        """Run `ask(client)` and return its answer; raises RedisAway when there is none to be had."""
        if not self.breaker.allows():
            self.failures += loses
            raise RedisAway("left alone after a failure")
        try:
            answer = ask(self.client)
        except DataError:  # it was never sent: what was to be is of no type that Redis knows
            raise
        except RedisError as error:
            if isinstance(error, ResponseError) and not _is_away(error):
                self.breaker.succeeded()  # it does answer
                raise
            self.failures += loses
            if self.breaker.failed():
                log.warning("redis.away", error=type(error).__name__)
            raise RedisAway(type(error).__name__) from error
        if self.breaker.succeeded():
            log.info("redis.back")
        return answer

    def script(self, text: str, *, loses: bool = True) -> "Script":
        """A Lua script, ready to be called; `loses` as for `call`."""
        return Script(self, text, loses)

    def together(self, asks: Sequence["Ask"]) -> list[Any]:
        """The answers of several scripts, in one round trip and in this order; raises RedisAway like `call`."""

        if len(asks) == 1:
            [one] = asks
            return [self.call(lambda _: one.script.registered(one.keys, one.args), loses=one.script.loses)]

        def ask(client: Client) -> list[Any]:
            pipe = client.pipeline(transaction=True)  # or a script that is loaded meanwhile would overtake others
            for one in asks:
                pipe.evalsha(one.script.registered.sha, len(one.keys), *one.keys, *one.args)
            answers: list[Any] = pipe.execute(raise_on_error=False)
            for index, (one, answer) in enumerate(zip(asks, answers, strict=True)):
                if isinstance(answer, NoScriptError):
                    answers[index] = one.script.registered(one.keys, one.args)
                elif isinstance(answer, RedisError):
                    raise answer
            return answers

        return self.call(ask, loses=any(one.script.loses for one in asks)) if asks else []

    def is_alive(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(self.call(lambda client: client.ping()))
        except RedisAway:
            return False

    def close(self) -> None:
        """Drop every connection; the next call opens a new one."""
        self.pool.disconnect()


class Script:
    """A Lua script as a function of (keys, args): one round trip, raises RedisAway like `Redis.call`."""

    def __init__(self, redis: Redis, text: str, loses: bool = True) -> None:
        self.registered = redis.client.register_script(text)
        self.loses = loses
        self._call = redis.call

    def __call__(self, keys: list[Any], args: list[Any]) -> Any:
        return self._call(lambda _: self.registered(keys=keys, args=args), loses=self.loses)


class Ask(NamedTuple):
    """One call of a script, for `Redis.together`."""

    script: Script
    keys: list[Any]
    args: list[Any]


def _is_away(error: ResponseError) -> bool:
    return isinstance(error, OutOfMemoryError | ReadOnlyError) or bool(_AWAY.match(str(error)))


_current: Redis | None = None


def connect(settings: Settings) -> Redis:
    """Make the process's Redis; connects on first use, not here."""
    global _current
    if _current is not None:
        _current.close()
    _current = Redis(settings.redis_address, timeout=settings.redis_timeout_ms / 1000)
    return _current


def current() -> Redis:
    """The process's Redis, once `connect` made it."""
    if _current is None:
        raise RuntimeError("redis.connect() has not been called")
    return _current

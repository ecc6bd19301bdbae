"""A cache that is never wrong: generations, write marks, epochs, one flight a key.

A value is stored under `scope, noun, key` together with the *stamp* it was computed under: which Redis server,
which epoch, which generation of its noun. It is a hit only while that stamp is the present one.

- A writer raises the generation and a *mark* before its write, and raises the generation again and lowers the
  mark after it. Whoever reads while a mark is up does not store, so a writer that dies in between leaves nothing
  wrong: the mark goes by itself, later than any write it could still be waiting for.
- A process that lost a Redis call raises the epoch before it next reads: nothing from before an outage is served.
- A Redis that restarted has another `run_id`, so what it may have forgotten cannot make an old value current.

Nothing here knows what is cached; values are bytes.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from flask import Flask
from flask_caching import Cache as Caching
from flask_caching.backends.rediscache import RedisCache

from devicehub.core import metrics
from devicehub.core.redis import Redis, RedisAway

MARK_LIFE_MS = 10_000
GENERATION_LIFE_S = 86_400
LARGEST_VALUE = 256 << 10
FULL_AT = 0.75
SETTLE_EVERY_S = 1.0
EPOCH_KEY = "cache:epoch"

# A counter that starts at random: one that was lost never comes back to a number it had before.
_RAISE = """
local function raise(key, start)
  if not redis.call('SET', key, start, 'NX') then redis.call('INCR', key) end
end
"""
_BEGIN = (
    _RAISE
    + """
for i = 1, #KEYS, 2 do
  raise(KEYS[i], ARGV[1])
  redis.call('EXPIRE', KEYS[i], ARGV[2])
  redis.call('INCR', KEYS[i + 1])
  redis.call('PEXPIRE', KEYS[i + 1], ARGV[3])
end
"""
)
_END = (
    _RAISE
    + """
for i = 1, #KEYS, 2 do
  raise(KEYS[i], ARGV[1])
  redis.call('EXPIRE', KEYS[i], ARGV[2])
  if tonumber(redis.call('GET', KEYS[i + 1]) or '0') > 1 then redis.call('DECR', KEYS[i + 1])
  else redis.call('DEL', KEYS[i + 1]) end
end
"""
)
_RENEW = _RAISE + "raise(KEYS[1], ARGV[1])"


class _AsItIs:
    def dumps(self, value: bytes) -> bytes:
        return value

    def loads(self, value: bytes | None) -> bytes | None:
        return value


class BytesCache(RedisCache):
    """Flask-Caching's Redis backend for values that are bytes already (as it comes, it pickles even those)."""

    serializer = _AsItIs()

    @classmethod
    def factory(cls, app: Any, config: Any, args: Any, kwargs: Any) -> "BytesCache":
        return cls(host=kwargs.pop("redis").client, key_prefix="cache:", **kwargs)


def store_for(app: Flask, redis: Redis) -> BytesCache:
    """Flask-Caching's store, bound to an application and our client of Redis."""
    app.config |= {"CACHE_TYPE": "devicehub.core.cache.BytesCache", "CACHE_OPTIONS": {"redis": redis}}
    caching = Caching(app)
    with app.app_context():
        store = caching.cache
    assert isinstance(store, BytesCache)  # noqa: S101
    return store


@dataclass(frozen=True, slots=True)
class Cached:
    """What `Cache.fetch` gives: the bytes, whence they came, and how old they are in whole seconds."""

    payload: bytes
    status: Literal["HIT", "MISS", "BYPASS"]
    age: int = 0


@dataclass(frozen=True, slots=True)
class _Look:
    stamp: bytes
    marked: bool
    value: bytes | None


class Cache:
    """The process's cache over Flask-Caching's store and its Redis."""

    def __init__(self, redis: Redis, store: BytesCache) -> None:
        self._redis, self._store = redis, store
        self._begin, self._end = redis.script(_BEGIN), redis.script(_END)
        self._renew = redis.script(_RENEW)
        self._settled = -1  # an earlier process of ours may have died before it settled
        self._flights: dict[tuple[str, bytes, bool], Future[bytes]] = {}
        self._under_way: dict[str, Future[bytes]] = {}
        self._next: dict[str, Future[bytes]] = {}
        self._lock = threading.Lock()
        self._room_until, self._has_room = 0.0, True

    @contextmanager
    def writing(self, scope: str, *nouns: str) -> Iterator[None]:
        """Surround a write that changes what is cached of `nouns` in `scope`."""
        with self.writing_all([scope], *nouns):
            yield

    @contextmanager
    def writing_all(self, scopes: Iterable[str], *nouns: str) -> Iterator[None]:
        """Surround a write that changes what is cached of `nouns` in many scopes, or in none."""
        names = [f"{scope}:{noun}" for scope in scopes for noun in nouns]
        if not names:
            yield
            return
        keys = [key for name in names for key in (f"gen:{name}", f"writing:{name}")]
        self._mark(self._begin, keys)
        try:
            yield
        finally:
            self._mark(self._end, keys)

    def _mark(self, script: Callable[..., Any], keys: list[str]) -> None:
        with suppress(RedisAway):  # counted in `failures`: the epoch is raised before the next read
            script(keys, [_random_start(), GENERATION_LIFE_S, MARK_LIFE_MS])

    def fetch(
        self, scope: str, noun: str, key: str, *, ttl: int, compute: Callable[[], bytes], bypass: bool = False
    ) -> Cached:
        """The value of `key`, computed when there is no current one; what `compute` raises is never kept."""
        name = f"{scope}:{noun}:{key}"
        look = None
        if not bypass:
            with suppress(RedisAway):
                look = self._look(scope, noun, name)
        found = self._answer(name, look, ttl, compute)
        metrics.count_cache(noun, found.status)
        return found

    def _answer(self, name: str, look: _Look | None, ttl: int, compute: Callable[[], bytes]) -> Cached:
        if look is None:
            return Cached(self._anew(name, compute), "BYPASS")
        if look.value is not None:
            stored_at, _, payload = look.value.partition(b"\n")
            return Cached(payload, "HIT", max(0, int(time.time() - float(stored_at))))
        return Cached(self._fly(name, look, ttl, compute), "MISS")

    def _look(self, scope: str, noun: str, name: str) -> _Look:
        """Ask for everything at once: epoch, generation, mark and value."""
        self.settle()
        incarnation = self._redis.incarnation
        keys = (EPOCH_KEY, f"gen:{scope}:{noun}", f"writing:{scope}:{noun}", f"cache:{name}")
        epoch, generation, mark, value = self._redis.call(lambda client: client.mget(keys))
        if incarnation != self._redis.incarnation or epoch is None or generation is None:
            return self._look_again(keys)
        return _judge(incarnation, epoch, generation, mark, value)

    def _look_again(self, keys: tuple[str, ...]) -> _Look:
        """The first look at a server, or at a noun of it: start the counters that are missing."""

        def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=True)
            pipe.set(keys[0], _random_start(), nx=True)
            pipe.set(keys[1], _random_start(), nx=True, ex=GENERATION_LIFE_S)
            return pipe.mget(keys).execute()[-1]

        incarnation = self._redis.incarnation
        epoch, generation, mark, value = self._redis.call(ask)
        if incarnation != self._redis.incarnation:
            raise RedisAway("it is another server now")
        return _judge(incarnation, epoch, generation, mark, value)

    def settle(self) -> None:
        """After a lost call, make everything stored before it old; raises RedisAway when it cannot."""
        failures = self._redis.failures
        if failures != self._settled:
            self._renew([EPOCH_KEY], [_random_start()])
            self._settled = failures

    def keep_settled(self) -> None:
        """Settle soon after Redis is back, for the sake of the other processes; runs as long as the process."""
        while True:
            time.sleep(SETTLE_EVERY_S)
            with suppress(RedisAway):
                self.settle()

    def _fly(self, name: str, look: _Look, ttl: int, compute: Callable[[], bytes]) -> bytes:
        """Compute once for all who ask under the same stamp at the same time."""
        key = (name, look.stamp, look.marked)
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            return flight.result()
        try:
            payload = compute()
            self._keep(name, look, ttl, payload)
        except BaseException as error:
            flight.set_exception(error)
            raise
        else:
            flight.set_result(payload)
        finally:
            with self._lock:
                del self._flights[key]
        return payload

    def _anew(self, name: str, compute: Callable[[], bytes]) -> bytes:
        """Compute it from now on: once for all who ask while an earlier computation of it is under way."""
        with self._lock:
            flight = self._next.get(name)
            leads = flight is None
            if flight is None:
                flight = self._next[name] = Future()
            before = self._under_way.get(name)
        if not leads:
            return flight.result()
        if before is not None:
            before.exception()  # waits for its end, whichever it is
        with self._lock:
            del self._next[name]
            self._under_way[name] = flight
        try:
            payload = compute()
        except BaseException as error:
            flight.set_exception(error)
            raise
        else:
            flight.set_result(payload)
        finally:
            with self._lock:
                if self._under_way.get(name) is flight:
                    del self._under_way[name]
        return payload

    def _keep(self, name: str, look: _Look, ttl: int, payload: bytes) -> None:
        if look.marked or len(payload) > LARGEST_VALUE:
            return
        value = b"%s\n%.3f\n%s" % (look.stamp, time.time(), payload)
        with suppress(RedisAway):
            if self._room():
                self._redis.call(lambda _: self._store.set(name, value, timeout=ttl))

    def _room(self) -> bool:
        """Whether Redis has memory to spare for values; asked every few seconds, for it moves slowly."""
        if time.monotonic() > self._room_until:
            memory = self._redis.call(lambda client: client.info("memory"))
            limit = memory.get("maxmemory", 0)
            self._has_room = not limit or memory["used_memory"] < limit * FULL_AT
            self._room_until = time.monotonic() + 5
        return self._has_room


def _judge(incarnation: str, epoch: bytes, generation: bytes, mark: bytes | None, value: bytes | None) -> _Look:
    stamp = b":".join((incarnation.encode(), epoch, generation))
    current = None
    if value is not None and value.startswith(stamp + b"\n"):
        current = value[len(stamp) + 1 :]
    return _Look(stamp, bool(mark and int(mark) > 0), current)


def _random_start() -> int:
    return secrets.randbits(62)


_current: Cache | None = None


def use(cache: Cache) -> None:
    """Make `cache` the process's own; `create_base` does, once."""
    global _current
    _current = cache


def current() -> Cache:
    """The process's cache."""
    if _current is None:
        raise RuntimeError("cache.use() has not been called")
    return _current

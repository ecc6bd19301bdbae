"""What MongoDB said of somebody's standing, remembered in Redis for 30 s.

A change is written over what is remembered, for 60 s, so that a look-up that raced it cannot revive what it saw
before. Without Redis every question goes to MongoDB; and what was remembered before an outage is not believed
after it, for a change may have been lost in between: each answer carries the name of its Redis and the cache's
epoch, which whoever lost a call raises.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import orjson

from devicehub.core import cache, redis
from devicehub.core.redis import RedisAway

REMEMBERED_S, OVERWRITTEN_S = 30, 60
_ENDED, _CHANGED = b"ended", b"changed"
# Over nothing, or over what is remembered from before an outage; never over a word.
_REMEMBER = """
local known = redis.call('GET', KEYS[1])
if known ~= ARGV[3] and known ~= ARGV[4] then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
"""

State = dict[str, Any]
Read = Callable[[], State | None]


def look_up(reads: Mapping[str, Read]) -> list[State | None]:
    """The state under each name, None for what does not live; in one round trip when all are remembered.

    What is not remembered is asked of MongoDB by its `read`. Of what has ended nothing further is asked.
    """
    names = tuple(reads)
    try:
        stamp, values = _remembered(names)
    except RedisAway:
        return [read() for read in reads.values()]
    if _ENDED in values:
        return [None] * len(names)
    return [
        _recall(value, stamp) or _learn(name, stamp, reads[name]())
        for name, value in zip(names, values, strict=True)
    ]


def end(names: Iterable[str]) -> None:
    """Let nobody believe any longer that these live."""
    _overwrite(names, _ENDED)


def forget(names: Iterable[str]) -> None:
    """Something about these has changed: ask MongoDB."""
    _overwrite(names, _CHANGED)


def _overwrite(names: Iterable[str], word: bytes) -> None:
    def ask(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        for name in names:
            pipe.set(name, word, ex=OVERWRITTEN_S)
        pipe.execute()

    with suppress(RedisAway):  # without Redis what is remembered goes by itself within 30 s
        redis.current().call(ask)


def _remembered(names: tuple[str, ...]) -> tuple[bytes, list[bytes | None]]:
    """The stamp that what is to be believed begins with, and what is remembered under these names."""
    cache.current().settle()
    server = redis.current().incarnation
    epoch, *values = redis.current().call(lambda client: client.mget((cache.EPOCH_KEY, *names)))
    if server != redis.current().incarnation:
        raise RedisAway("it is another server now")
    return b"%s:%s|" % (server.encode(), epoch or b""), values


def _recall(value: bytes | None, stamp: bytes) -> State | None:
    return orjson.loads(value.removeprefix(stamp)) if value is not None and value.startswith(stamp) else None


def _learn(name: str, stamp: bytes, state: State | None) -> State | None:
    if state is not None:
        with suppress(RedisAway):
            words = (_ENDED, _CHANGED)
            redis.current().script(_REMEMBER)([name], [stamp + orjson.dumps(state), REMEMBERED_S, *words])
    return state

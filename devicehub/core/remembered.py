"""What Redis remembers of MongoDB's answers for a moment, and the words that are written over it.

An answer is remembered for 30 s; an end or a change is written over it for 60 s, so that a look-up that raced it
cannot revive what it saw before. Without Redis every question goes to MongoDB; and what was remembered before an
outage is not believed after it, for a change may have been lost in between: each answer carries the name of its
Redis and the cache's epoch, which whoever lost a call raises.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from devicehub.core import cache, redis
from devicehub.core.redis import RedisAway

ANSWER_S, WORD_S = 30, 60
ENDED: Final = b"ended"
CHANGED: Final = b"changed"
# Over nothing, or over what is remembered from before an outage; never over a word.
_KEEP = """
local known = redis.call('GET', KEYS[1])
if known ~= ARGV[3] and known ~= ARGV[4] then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
"""


State = dict[str, Any]
Read = Callable[[], State | None]


def look_up(reads: Mapping[str, Read]) -> list[State | None]:
    """The state under each key, None for what does not live; in one round trip when all are remembered.

    What is not remembered is asked of MongoDB by its `read`. Of what has ended nothing further is asked.
    """
    keys = tuple(reads)
    try:
        stamp, values = _remembered(keys)
    except RedisAway:
        return [read() for read in reads.values()]
    if ENDED in values:
        return [None] * len(keys)
    return [
        _recall(value, stamp) or _learn(key, stamp, reads[key]()) for key, value in zip(keys, values, strict=True)
    ]


def _remembered(keys: tuple[str, ...]) -> tuple[bytes, list[bytes | None]]:
    """The stamp that what is to be believed begins with, and what is remembered under these keys."""
    cache.current().settle()
    server = redis.current().incarnation
    epoch, *values = redis.current().call(lambda client: client.mget((cache.EPOCH_KEY, *keys)))
    if server != redis.current().incarnation:
        raise RedisAway("it is another server now")
    return b"%s:%s|" % (server.encode(), epoch or b""), values


def _recall(value: bytes | None, stamp: bytes) -> State | None:
    return orjson.loads(value.removeprefix(stamp)) if value is not None and value.startswith(stamp) else None


def _learn(key: str, stamp: bytes, state: State | None) -> State | None:
    if state is not None:
        keep(key, stamp + orjson.dumps(state))
    return state


def keep(key: str, answer: bytes) -> None:
    """Remember an answer, unless a word stands there."""
    with suppress(RedisAway):
        redis.current().script(_KEEP)([key], [answer, ANSWER_S, ENDED, CHANGED])


def overwrite(keys: Iterable[str], word: bytes) -> None:
    """Let nobody believe any longer what is remembered under these keys."""

    def ask(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.set(key, word, ex=WORD_S)
        pipe.execute()

    with suppress(RedisAway):  # without Redis what is remembered goes by itself within 30 s
        redis.current().call(ask)

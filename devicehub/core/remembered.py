"""What Redis remembers of MongoDB's answers for a moment, and the words that are written over it.

An answer is remembered for 30 s; an end or a change is written over it for 60 s, so that a look-up that raced it
cannot revive what it saw before. Without Redis every question goes to MongoDB; and what was remembered before an
outage is not believed after it, for a change may have been lost in between: each answer carries the name of its
Redis and the cache's epoch, which whoever lost a call raises.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
for i, key in ipairs(KEYS) do
  local known = redis.call('GET', key)
  if known ~= ARGV[2] and known ~= ARGV[3] then redis.call('SET', key, ARGV[i + 3], 'EX', ARGV[1]) end
end
"""


State = dict[str, Any]
Read = Callable[[], State | None]
ReadMany = Callable[[Sequence[str]], Sequence[State | None]]


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


def look_up_apart(keys: Sequence[str], read: ReadMany) -> list[State | None]:
    """The state under each of many keys that have nothing to do with each other, None for what does not live.

    What is not remembered is asked of MongoDB in one `read`, and remembered.
    """
    wanted = tuple(dict.fromkeys(keys))
    try:
        stamp, values = _remembered(wanted)
    except RedisAway:
        return list(read(keys))
    found = {key: _recall(value, stamp) for key, value in zip(wanted, values, strict=True)}
    missing = [key for key, value in zip(wanted, values, strict=True) if found[key] is None and value != ENDED]
    learned = dict(zip(missing, read(missing), strict=True)) if missing else {}
    keep_all({key: stamp + orjson.dumps(state) for key, state in learned.items() if state is not None})
    return [learned.get(key) or found[key] for key in keys]


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
        keep_all({key: stamp + orjson.dumps(state)})
    return state


def keep_all(answers: Mapping[str, bytes]) -> None:
    """Remember answers, each unless a word stands there."""
    with suppress(RedisAway):
        if answers:
            redis.current().script(_KEEP)(list(answers), [ANSWER_S, ENDED, CHANGED, *answers.values()])


def overwrite(keys: Iterable[str], word: bytes) -> None:
    """Let nobody believe any longer what is remembered under these keys."""

    def ask(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.set(key, word, ex=WORD_S)
        pipe.execute()

    with suppress(RedisAway):  # without Redis what is remembered goes by itself within 30 s
        redis.current().call(ask)

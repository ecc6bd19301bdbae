"""Live values: what changes too often to invalidate a cache for, kept beside it and joined in when it is read.

One Redis hash a scope. A field holds the newest value known and its sequence number (which MongoDB counts); a
second field says that a write is under way. Like the cache it is never wrong: the hash belongs to an epoch, an
older value never replaces a newer one, and a value whose writer died is read from MongoDB again.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from devicehub.core.cache import EPOCH_KEY, MARK_LIFE_MS, Cache
from devicehub.core.redis import Ask, Redis, RedisAway, Script

LIFE_S = 86_400

Value = tuple[int, bytes]
Load = Callable[[list[str]], Mapping[str, Value]]

_COMMON = f"""
local hash, epoch = KEYS[1], ARGV[1] .. ':' .. (redis.call('GET', KEYS[2]) or '')
if redis.call('HGET', hash, 'epoch') ~= epoch then
  redis.call('DEL', hash)
  redis.call('HSET', hash, 'epoch', epoch)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function pending(id)
  local mark = redis.call('HGET', hash, 'w' .. id)
  if not mark then return 0, 0 end
  local count, till = mark:match('(%d+):(%d+)')
  return tonumber(count), tonumber(till)
end
local function keep(id, seq, value)
  local known = redis.call('HGET', hash, id)
  if not known or tonumber(known:match('%d+')) <= tonumber(seq) then
    redis.call('HSET', hash, id, seq .. '|' .. value)
  end
end
redis.call('EXPIRE', hash, {LIFE_S})
"""
_BEGIN = (
    _COMMON
    + """
for i = 3, #ARGV do
  redis.call('HSET', hash, 'w' .. ARGV[i], (pending(ARGV[i]) + 1) .. ':' .. (now + ARGV[2]))
end
"""
)
_FINISH = (
    _COMMON
    + """
for i = 2, #ARGV, 3 do
  local count, till = pending(ARGV[i])
  if count > 1 then redis.call('HSET', hash, 'w' .. ARGV[i], (count - 1) .. ':' .. till)
  else redis.call('HDEL', hash, 'w' .. ARGV[i]) end
  if ARGV[i + 1] ~= '' then keep(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
end
"""
)
_FILL = (
    _COMMON
    + """
if epoch ~= ARGV[2] then return end
for i = 3, #ARGV, 3 do
  local count, till = pending(ARGV[i])
  if count == 0 or till < now then
    redis.call('HDEL', hash, 'w' .. ARGV[i])
    keep(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
end
"""
)


class Live:
    """The live values of many things in many scopes."""

    def __init__(self, redis: Redis, cache: Cache) -> None:
        self._redis, self._cache = redis, cache
        self._begin, self._finish, self._fill = (redis.script(text) for text in (_BEGIN, _FINISH, _FILL))

    def begin(self, ids: Mapping[str, Iterable[str]]) -> None:
        """Say which of each scope are about to be written to MongoDB; until `finish`, readers ask there."""
        self._quietly(self._begin, {scope: [MARK_LIFE_MS, *chosen] for scope, chosen in ids.items()})

    def finish(self, values: Mapping[str, Mapping[str, Value | None]]) -> None:
        """Say what was written, in each scope; None where a write came to nothing.

        A writer that never comes here is waited for until its mark has lapsed.
        """
        self._quietly(self._finish, {scope: _flat(written) for scope, written in values.items()})

    def forget(self, scope: str, one: str) -> None:
        """Let go of a thing that is no more."""
        with suppress(RedisAway):
            self._redis.call(lambda client: client.hdel(_keys(scope)[0], one, f"w{one}"))

    def forget_all(self, scope: str) -> None:
        """Let go of a whole scope that is no more."""
        with suppress(RedisAway):
            self._redis.call(lambda client: client.delete(_keys(scope)[0]))

    def _quietly(self, script: Script, args: Mapping[str, list[Any]]) -> None:
        first = self._redis.incarnation
        asks = [Ask(script, _keys(scope), [first, *more]) for scope, more in args.items()]
        with suppress(
            RedisAway
        ):  # counted: this process raises the epoch, which empties the hash, before it reads
            self._redis.together(asks)

    def read(self, scope: str, ids: list[str], load: Load, *, fresh: bool = False) -> Mapping[str, bytes]:
        """The value of each id; what is missing or being written comes from `load`, MongoDB's word."""
        if fresh or not ids:
            return _values(load(ids))
        try:
            self._cache.settle()
            return self._read(scope, ids, load)
        except RedisAway:
            return _values(load(ids))

    def _read(self, scope: str, ids: list[str], load: Load) -> Mapping[str, bytes]:
        hash_key, epoch_key = _keys(scope)
        incarnation = self._redis.incarnation

        def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=False)
            pipe.get(epoch_key)
            pipe.hmget(hash_key, ["epoch", *ids, *(f"w{one}" for one in ids)])
            return pipe.execute()

        number, (epoch, *fields) = self._redis.call(ask)
        current = f"{incarnation}:{(number or b'').decode()}".encode()
        found: dict[str, bytes] = {}
        if epoch == current:
            for one, value, mark in zip(ids, fields[: len(ids)], fields[len(ids) :], strict=True):
                if value is not None and mark is None:
                    found[one] = value.partition(b"|")[2]
        missing = [one for one in ids if one not in found]
        if missing:
            loaded = load(missing)
            self._quietly(self._fill, {scope: [current, *_flat(loaded)]})
            found |= _values(loaded)
        return found


def _keys(scope: str) -> list[str]:
    return [f"live:{scope}", EPOCH_KEY]


def _flat(values: Mapping[str, Value | None]) -> list[Any]:
    return [part for one, value in values.items() for part in (one, *(value or ("", "")))]


def _values(loaded: Mapping[str, Value]) -> dict[str, bytes]:
    return {one: value for one, (_, value) in loaded.items()}


_current: Live | None = None


def use(live: Live) -> None:
    """Make `live` the process's own; `create_base` does, once."""
    global _current
    _current = live


def current() -> Live:
    """The process's live values."""
    if _current is None:
        raise RuntimeError("live.use() has not been called")
    return _current

"""The event log: one capped Redis stream an organization, whose ids are the ids of the events.

Publishing is one Lua call: it appends the entry and publishes it, so that whoever subscribes hears the order
the stream has. A stream lives for an hour after its last entry, and Redis may be emptied at any time; so each
stream has an *epoch*, a random number that begins with a marker entry. The ids are ours, not Redis's own:
`<ms>-<epoch * 65536 + n>`, so that an id says by itself which stream it is of.
"""

import re
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from devicehub.core.redis import Ask, Redis

LIFE_S = 3600
CHUNK = 500
EPOCH = 1 << 16
_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,16}")

# `begun(key, fresh)`: the last id of a stream, which is begun under the epoch `fresh` if there is none.
# Numbers stay below 2^53: Lua's are floating.
_BEGUN = f"""
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function begun(key, fresh)
  local tail = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if tail then return tail[1] end
  local id = string.format('%.0f-%.0f', now(), fresh * {EPOCH})
  redis.call('XADD', key, id, 'begun', '')
  redis.call('EXPIRE', key, {LIFE_S})
  return id
end
local function epoch(id) return math.floor(id:match('%d+$') / {EPOCH}) end
"""
# Entry `i` is `ARGV[4 * i]` and the three after it. Where it is numbered, `KEYS[i + 1]` holds the number of what
# was told last of its kind: what is numbered at or below it stands in the log already.
_PUBLISH = (
    _BEGUN
    + f"""
local last, ids, lines = begun(KEYS[1], ARGV[1]), {{}}, {{}}
local ms, seq, first = now(), epoch(last) * {EPOCH}, epoch(last) * {EPOCH}
local last_ms, last_seq = tonumber(last:match('^%d+')), tonumber(last:match('%d+$'))
local function is_told(guard, number)
  if number == '' then return false end
  if tonumber(redis.call('GET', guard) or '-1') >= tonumber(number) then return true end
  redis.call('SET', guard, number, 'EX', {LIFE_S})
  return false
end
for i = 1, #KEYS - 1 do
  local number, audience, event, payload = ARGV[4 * i], ARGV[4 * i + 1], ARGV[4 * i + 2], ARGV[4 * i + 3]
  if is_told(KEYS[i + 1], number) then
    ids[i] = false
  else
    if ms <= last_ms then
      ms = last_ms
      if (last_seq + 1) % {EPOCH} == 0 then ms, seq = ms + 1, first else seq = last_seq + 1 end
    end
    local id = string.format('%.0f-%.0f', ms, seq)
    redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], id, 'audience', audience, 'event', event, 'payload', payload)
    table.insert(lines, table.concat({{id, audience, event, payload}}, ' '))
    last_ms, last_seq, ids[i] = ms, seq, id
  end
end
if #lines > 0 then
  redis.call('EXPIRE', KEYS[1], {LIFE_S})
  redis.call('PUBLISH', ARGV[3], table.concat(lines, '\\n'))
end
return ids
"""
)
_HEAD = _BEGUN + "return begun(KEYS[1], ARGV[1])"
_SINCE = (
    _BEGUN
    + f"""
local last = begun(KEYS[1], ARGV[1])
local from = epoch(last) == epoch(ARGV[2]) and '(' .. ARGV[2] or '-'
return redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', {CHUNK})
"""
)
_BETWEEN = f"""
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return false end
return redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], ARGV[2], 'COUNT', {CHUNK})
"""


class NotKept(Exception):
    """An id that the stream does not hold: what followed it cannot be known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as the log holds it; a marker has no event. Without Redis there is no id."""

    event: str
    audience: str
    payload: bytes
    id: str = ""

    @classmethod
    def all_from_message(cls, message: bytes) -> list[Self]:
        """The entries that a published message carries, one a line: JSON as we write it has no line ends."""
        parts = [line.split(b" ", 3) for line in message.split(b"\n")]
        return [
            cls(event.decode(), audience.decode(), payload, entry_id.decode())
            for entry_id, audience, event, payload in parts
        ]

    @classmethod
    def from_row(cls, row: tuple[bytes, list[bytes]]) -> Self:
        """The entry that a row of the stream holds."""
        entry_id, flat = row
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return cls(
            fields.get(b"event", b"").decode(),
            fields.get(b"audience", b"").decode(),
            fields.get(b"payload", b""),
            entry_id.decode(),
        )


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None


def epoch_of(entry_id: str) -> int:
    """Which stream an id is of."""
    return _rank(entry_id)[1] // EPOCH


def covers(seen: str, entry_id: str) -> bool:
    """Whether `entry_id` is of the stream of `seen`, and not after it."""
    return epoch_of(seen) == epoch_of(entry_id) and _rank(entry_id) <= _rank(seen)


def _rank(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)


class News(NamedTuple):
    """An entry for an organization; `once` is where the last number told is kept, and this one's number."""

    organization_id: str
    entry: Entry
    once: tuple[str, int] | None = None


class EventLog:
    """The streams of all organizations in one Redis; every method raises RedisAway when it does not answer."""

    def __init__(self, redis: Redis, *, window: int) -> None:
        # Channels, unlike keys, are shared by all databases of a Redis server.
        self._prefix = f"events:{redis.pool.connection_kwargs.get('db') or 0}:"
        self._redis, self._window = redis, window
        self._publish, self._head, self._since, self._between = (
            redis.script(text, loses=False) for text in (_PUBLISH, _HEAD, _SINCE, _BETWEEN)
        )

    def channel(self, organization_id: str) -> str:
        """Where an organization's entries are published."""
        return self._prefix + organization_id

    def owns(self, channel: str) -> bool:
        """Whether `channel` is an organization's."""
        return channel.startswith(self._prefix)

    def organization_of(self, channel: str) -> str:
        """Whose entries are published at `channel`."""
        return channel.removeprefix(self._prefix)

    def publish(self, organization_id: str, entry: Entry) -> str:
        """Append an entry, tell every process that listens, and return its id."""
        return str(self.publish_all([News(organization_id, entry)])[0])

    def publish_all(self, news: Sequence[News]) -> list[str | None]:
        """Append entries and tell every process that listens, all in one round trip.

        Returns their ids, None for what stands in the log already.
        """
        places = defaultdict[str, list[int]](list)
        for place, one in enumerate(news):
            places[one.organization_id].append(place)
        parts = [some[start : start + CHUNK] for some in places.values() for start in range(0, len(some), CHUNK)]
        made = self._redis.together([self._ask([news[place] for place in part]) for part in parts])
        ids = {
            place: one for part, ids in zip(parts, made, strict=True) for place, one in zip(part, ids, strict=True)
        }
        return [ids[place].decode() if ids[place] else None for place in range(len(news))]

    def _ask(self, news: Sequence[News]) -> Ask:
        """Entries for one organization."""
        organization_id = news[0].organization_id
        keys, told = [_key(organization_id)], list[Any]()
        for _, entry, once in news:
            guard, number = once or (keys[0], "")
            keys.append(guard)
            told += [str(number), entry.audience, entry.event, entry.payload]
        return Ask(self._publish, keys, [_fresh(), self._window, self.channel(organization_id), *told])

    def head(self, organization_id: str) -> str:
        """The id where the stream ends now; it is begun if there is none."""
        last: bytes = self._head([_key(organization_id)], [_fresh()])
        return last.decode()

    def since(self, organization_id: str, seen: str) -> list[Entry]:
        """The next entries after `seen`, at most CHUNK; those of a new stream when `seen` was in another."""
        rows: list[Any] = self._since([_key(organization_id)], [_fresh(), seen])
        return [Entry.from_row(row) for row in rows]

    def between(self, organization_id: str, seen: str, upto: str) -> list[Entry]:
        """The next entries after `seen` and up to `upto`, at most CHUNK; raises NotKept unless `seen` is held."""
        rows: list[Any] | None = self._between([_key(organization_id)], [seen, upto])
        if rows is None:
            raise NotKept()
        return [Entry.from_row(row) for row in rows]

    def keeps(self, organization_id: str, seen: str) -> bool:
        """Whether `since` misses nothing after `seen`; it misses nothing of a new stream."""
        try:
            self.between(organization_id, seen, seen)
        except NotKept:
            return epoch_of(self.head(organization_id)) != epoch_of(seen)
        return True


def _key(organization_id: str) -> str:
    return f"events:{organization_id}"


def _fresh() -> int:
    return secrets.randbelow(1 << 32)

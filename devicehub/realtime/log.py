"""The event log: one capped Redis stream an organization, whose ids are the ids of the events.

Publishing is one Lua call: it appends the entry and publishes it, so that whoever subscribes hears the order
the stream has. A stream lives for an hour after its last entry, and Redis may be emptied at any time; so each
stream has an *epoch*, a random word that begins with a marker entry and is repeated in every other. An id only
means something together with the epoch it was given in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from devicehub.core import crypto
from devicehub.core.redis import Ask, Redis

LIFE_S = 3600
CHUNK = 500

# `begun(key, fresh)`: the epoch and the last id of a stream, which is begun under `fresh` if there is none.
_BEGUN = f"""
local function begun(key, fresh)
  local tail = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if tail then return tail[2][2], tail[1] end
  local id = redis.call('XADD', key, '*', 'epoch', fresh)
  redis.call('EXPIRE', key, {LIFE_S})
  return fresh, id
end
"""
# `KEYS[2]`, where there is one, holds the number of the last thing that was told of its kind: what is numbered at
# or below it stands in the log already.
_ONCE = f"""
if KEYS[2] then
  if tonumber(redis.call('GET', KEYS[2]) or '-1') >= tonumber(ARGV[7]) then return false end
  redis.call('SET', KEYS[2], ARGV[7], 'EX', {LIFE_S})
end
"""
_PUBLISH = (
    _ONCE
    + _BEGUN
    + f"""
local epoch = begun(KEYS[1], ARGV[1])
local audience, event, payload = ARGV[4], ARGV[5], ARGV[6]
local id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], '*',
  'epoch', epoch, 'audience', audience, 'event', event, 'payload', payload)
redis.call('EXPIRE', KEYS[1], {LIFE_S})
redis.call('PUBLISH', ARGV[3], table.concat({{id, epoch, audience, event, payload}}, ' '))
return id
"""
)
_HEAD = _BEGUN + "return {begun(KEYS[1], ARGV[1])}"
_SINCE = (
    _BEGUN
    + f"""
local epoch = begun(KEYS[1], ARGV[1])
local from = epoch == ARGV[2] and '(' .. ARGV[3] or '-'
return redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', {CHUNK})
"""
)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an organization's stream: everything up to and including `id` has been seen."""

    epoch: str
    id: str

    def covers(self, entry: "Entry") -> bool:
        """Whether `entry` is of the same stream and was seen already."""
        return entry.epoch == self.epoch and _rank(entry.id) <= _rank(self.id)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as the log holds it; a marker has no event. Without Redis there is neither id nor epoch."""

    event: str
    audience: str
    payload: bytes
    id: str = ""
    epoch: str = ""

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.id)

    @classmethod
    def from_message(cls, message: bytes) -> Self:
        """The entry that a published message carries."""
        entry_id, epoch, audience, event, payload = message.split(b" ", 4)
        return cls(event.decode(), audience.decode(), payload, entry_id.decode(), epoch.decode())

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
            fields[b"epoch"].decode(),
        )


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
        self._publish, self._head, self._since = map(redis.script, (_PUBLISH, _HEAD, _SINCE))

    def channel(self, organization_id: str) -> str:
        """Where an organization's entries are published."""
        return self._prefix + organization_id

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
        made: list[bytes | None] = self._redis.together([self._ask(one) for one in news])
        return [entry_id.decode() if entry_id else None for entry_id in made]

    def _ask(self, news: News) -> Ask:
        entry, (guard, number) = news.entry, news.once or (None, None)
        keys = [_key(news.organization_id), *([guard] if guard else [])]
        told = [self.channel(news.organization_id), entry.audience, entry.event, entry.payload]
        return Ask(self._publish, keys, [_fresh(), self._window, *told, *([number] if guard else [])])

    def head(self, organization_id: str) -> Position:
        """Where the stream ends now; it is begun if there is none."""
        epoch, last = self._head([_key(organization_id)], [_fresh()])
        return Position(epoch.decode(), last.decode())

    def since(self, organization_id: str, seen: Position) -> list[Entry]:
        """The next entries after `seen`, at most CHUNK; those of a new stream when `seen` was in another."""
        args = [_fresh(), seen.epoch, seen.id]
        rows: list[Any] = self._since([_key(organization_id)], args)
        return [Entry.from_row(row) for row in rows]


def _key(organization_id: str) -> str:
    return f"events:{organization_id}"


def _fresh() -> str:
    return crypto.random_token(9)

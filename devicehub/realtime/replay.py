"""What a client that comes back has missed: asked for by the last id it saw, told before anything new."""

from collections.abc import Callable, Iterable, Iterator

import orjson

from devicehub.core.redis import RedisAway
from devicehub.realtime import wire
from devicehub.realtime.log import CHUNK, Entry, EventLog, NotKept, epoch_of, is_id
from devicehub.realtime.reader import Reader

LONGEST_ID = 40


def refusal(events: EventLog, reader: Reader, organization_id: str, seen: object) -> str | None:
    """Why nothing can be told from `seen` on; None when it can, and the reader here is past it too."""
    if not isinstance(seen, str) or not is_id(seen):
        return "malformed"
    try:
        if epoch_of(events.head(organization_id)) != epoch_of(seen):
            return "another_stream"
        events.between(organization_id, seen, seen)
    except NotKept:
        return "not_kept"
    except RedisAway:
        return "unavailable"
    return None if reader.reach(organization_id, seen) else "unavailable"


def missed(
    events: EventLog, organization_id: str, seen: str, upto: str, hears: Callable[[Entry], bool]
) -> Iterator[list[Entry]]:
    """The entries after `seen` and up to `upto`, a chunk at a time; of each device's beats the last alone.

    Raises NotKept when the window overtakes a client that reads slowly.
    """
    chunk = events.between(organization_id, seen, upto)
    is_all = len(chunk) < CHUNK
    newest = _newest_beats([chunk] if is_all else _chunks(events, organization_id, seen, upto))
    while chunk:
        yield [entry for entry in chunk if hears(entry) and newest.get(_beating(entry), entry.id) == entry.id]
        if len(chunk) < CHUNK:
            return
        chunk = events.between(organization_id, chunk[-1].id, upto)


def _chunks(events: EventLog, organization_id: str, seen: str, upto: str) -> Iterator[list[Entry]]:
    while chunk := events.between(organization_id, seen, upto):
        yield chunk
        seen = chunk[-1].id


def _newest_beats(chunks: Iterable[list[Entry]]) -> dict[str | None, str]:
    newest = {_beating(entry): entry.id for chunk in chunks for entry in chunk}
    newest.pop(None, None)
    return newest


def _beating(entry: Entry) -> str | None:
    """The device whose beat an entry is."""
    if entry.event != wire.HEARTBEAT:
        return None
    device_id: str = orjson.loads(entry.payload)["deviceId"]
    return device_id

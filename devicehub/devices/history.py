"""Why a device's presence is what it is, what it was in the last 90 days, and for how long."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import BulkWriteError

from devicehub.core import clock, mongo
from devicehub.core.actor import Actor
from devicehub.core.documents import seen_by
from devicehub.core.paging import After, Stretch
from devicehub.devices import presence
from devicehub.devices import service as devices
from devicehub.devices.models import PresenceChange
from devicehub.devices.presence import Row

_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Availability:
    """How long a device was what, of the time in question; its share of `online`, None when nothing is known."""

    device_id: str
    start: datetime
    end: datetime
    seconds: dict[str, float]
    changes: int

    @property
    def availability(self) -> float | None:
        """Per cent, of the time in which it had been heard of at all."""
        known = sum(spent for name, spent in self.seconds.items() if name != "never_seen")
        return round(100 * self.seconds["online"] / known, 4) if known else None


def keep(transitions: Iterable[tuple[Row, Row]]) -> None:
    """Keep the changes of presence among these transitions of devices; what is kept already is left alone.

    A majority need not have them yet: what says that they were kept and told is written after them.
    """
    rows = [_row(device, transition) for device, transition in transitions if "presence" in transition["changes"]]
    if not rows:
        return
    try:
        mongo.at_ease(PresenceChange).insert_many(rows, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if any(one["code"] != _DUPLICATE_KEY for one in failures):
            raise


def _row(device: Row, transition: Row) -> Row:
    return {
        "organization_id": device["organization_id"],
        "device_id": device["_id"],
        "seq": transition["seq"],
        "at": transition["at"],
        "from": transition["from"],
        "to": transition["presence"],
        "cause": transition["cause"],
    }


def find(actor: Actor, device_id: str, after: After) -> Stretch[Row]:
    """Changes of a device's presence, newest first; raises DeviceNotFound."""
    row = devices.row_of(actor, device_id)
    chosen: Row = {"device_id": row["_id"]}
    if after.position is not None:
        chosen["seq"] = {"$lt": after.position[0]}
    newest = PresenceChange.objects.visible_to(actor).filter(__raw__=chosen).order_by("-seq")
    return after.cut(list(newest.limit(after.limit + 1).as_pymongo()), lambda change: (change["seq"],))


def availability(actor: Actor, device_id: str, span: timedelta) -> Availability:
    """How long a device was what in the `span` up to now, exactly; raises DeviceNotFound."""
    [found] = availabilities(actor, [devices.row_of(actor, device_id)], span)
    return found


def availabilities(actor: Actor, rows: Sequence[Row], span: timedelta) -> Iterator[Availability]:
    """The same of many devices, as they are stored, with one question; in their order."""
    end = clock.now()
    start = end - span
    kept = _kept_since(actor, [row["_id"] for row in rows], start)
    for row in rows:
        changes = list(_changes(row, kept.get(row["_id"], ()), start))
        first = max(start, row["created_at"])
        moves = [(change["at"], change["from"], change["to"]) for change in changes]
        seconds = spent(first, max(first, end), moves, now=row["presence"])
        yield Availability(str(row["_id"]), start, end, seconds, len(changes))


def _kept_since(actor: Actor, device_ids: list[ObjectId], start: datetime) -> dict[ObjectId, list[Row]]:
    chosen = {**seen_by(actor, PresenceChange), "device_id": {"$in": device_ids}, "at": {"$gte": start}}
    found: dict[ObjectId, list[Row]] = {}
    for change in PresenceChange._get_collection().find(chosen):
        found.setdefault(change["device_id"], []).append(change)
    return found


def _changes(row: Row, kept: Iterable[Row], start: datetime) -> Iterator[Row]:
    """In order of time; the newest may stand on the device only, until it is told."""
    known = {change["seq"]: change for change in kept if change["seq"] <= row.get("transitions", 0)}
    for transition in row.get("untold", ()):
        if "presence" in transition["changes"] and transition["at"] >= start:
            known.setdefault(transition["seq"], _row(row, transition))
    return (known[seq] for seq in sorted(known))


def spent(
    start: datetime, end: datetime, changes: list[tuple[datetime, str, str]], *, now: str
) -> dict[str, float]:
    """Seconds from `start` to `end` in each presence.

    `changes` are (at, from, to), in order; `now` is the present one, which it was all the time if there are none.
    """
    seconds = dict.fromkeys(("never_seen", "online", "late", "offline"), 0.0)
    state, moment = (changes[0][1] if changes else now), start
    for at, _, to in changes:
        at = min(max(at, moment), end)
        seconds[state] += (at - moment).total_seconds()
        state, moment = to, at
    seconds[state] += (end - moment).total_seconds()
    return seconds


def explain(actor: Actor, device_id: str) -> dict[str, Any]:
    """Why a device's presence is what it is, and what becomes of it; raises DeviceNotFound."""
    row = devices.row_of(actor, device_id)
    step, signal = presence.next_step(row), row.get("signal") or None
    is_waited_for = row["presence"] in ("online", "late")
    return {
        "device_id": str(row["_id"]),
        "presence": row["presence"],
        "since": presence.since(row),
        "last_signal": signal and signal | {"at": row["last_active_at"]},
        "heartbeat_interval": row["heartbeat_interval"],
        "interval_set_by": row.get("interval_set_by", "person"),
        "late_at": presence.late_at(row) if is_waited_for else None,
        "offline_at": presence.offline_at(row) if is_waited_for else None,
        "next_transition": step and {"to": step.to, "at": step.at},
        "clock_offset_ms": row.get("clock_offset_ms"),
        "server_time": clock.now(),
    }

"""Signs of life: those of a moment are read, judged and written together, each exactly, and told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from devicehub.core import clock, events, ids, metrics
from devicehub.core.actor import Actor
from devicehub.core.errors import Conflict, DeviceHubError
from devicehub.core.events import emit
from devicehub.core.groups import Group
from devicehub.devices import presence, pulse, states
from devicehub.devices.errors import DeviceNotFound
from devicehub.devices.presence import Row, Signal
from devicehub.devices.states import Change
from devicehub.devices.views import Beat
from devicehub.realtime import publishing

_TRIES = 5
_LARGEST_GROUP = 500


Outcome = Beat | DeviceHubError


def beat(actor: Actor, device_id: str, told: Mapping[str, Any]) -> Beat:
    """Note a sign of life of a device, or its goodbye: heard now, by the server's clock; raises DeviceNotFound."""
    [outcome] = beat_all(actor, [(device_id, told)])
    if isinstance(outcome, DeviceHubError):
        raise outcome
    return outcome


def beat_all(actor: Actor, many: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Outcome]:
    """Note the signs of life of many devices, for each what came of it; a device may be among them twice."""
    return beat_each([(actor, device_id, told) for device_id, told in many])


def beat_each(many: Sequence[tuple[Actor, str, Mapping[str, Any]]]) -> list[Outcome]:
    """Note signs of life, each told by an actor of its own."""
    signals = {
        index: Signal(actor, device_id, "goodbye" if told.get("goodbye") else "heartbeat", told)
        for index, (actor, text, told) in enumerate(many)
        if (device_id := ids.parse(text)) is not None
    }
    found = dict(zip(signals, note(list(signals.values())), strict=True))
    return [found.get(index) or DeviceNotFound(device_id=text) for index, (_, text, _) in enumerate(many)]


def note(signals: Sequence[Signal]) -> Sequence[Outcome]:
    """Note signals of any kind together with those that others bring in this moment, for each what came of it.

    Whether the actor may speak for devices of their organization is the caller's to ask.
    """
    return _group.submit(signals) if signals else []


def _round(signals: list[Signal]) -> list[Outcome]:
    """All signals of a moment. Who lost their condition to somebody else is read and judged again."""
    metrics.observe_group(len(signals))
    outcomes: dict[int, Outcome] = {}
    for _ in range(_TRIES):
        waiting = {index: signal for index, signal in enumerate(signals) if index not in outcomes}
        if not waiting:
            break
        outcomes |= _attempt(waiting)
    return [outcomes.get(index) or Conflict() for index in range(len(signals))]


def _attempt(signals: Mapping[int, Signal]) -> dict[int, Outcome]:
    rows = states.read({signal.device_id for signal in signals.values()})
    now, latest, heard = clock.now(), dict(rows), dict[int, Row]()
    for index, signal in signals.items():
        row = latest.get(signal.device_id)
        if row is not None and _may_speak_for(signal.actor, row):
            heard[index] = latest[signal.device_id] = presence.after_signal(row, signal, now)
    concerned = {signals[index].device_id for index in heard}
    written = states.write([Change(rows[one], latest[one]) for one in concerned]) if concerned else set()
    kept = {index: row for index, row in heard.items() if row["_id"] in written}
    _tell({index: signals[index] for index in kept}, kept, {one: rows[one] for one in written})
    missing: dict[int, Outcome] = {
        index: DeviceNotFound(device_id=str(signal.device_id))
        for index, signal in signals.items()
        if index not in heard
    }
    return missing | {index: _answer(row) for index, row in kept.items()}


def _may_speak_for(actor: Actor, row: Row) -> bool:
    """Whether it is a device of the caller's organization; of a device's own key, itself."""
    is_other = actor.kind == "device" and actor.device_id != str(row["_id"])
    return str(row["organization_id"]) == actor.organization_id and not is_other


def _tell(signals: Mapping[int, Signal], heard: Mapping[int, Row], before: Mapping[ObjectId, Row]) -> None:
    """Tell of each signal, in the order they came in, after what it changed (and what others left untold)."""
    changed = {
        row["_id"]: row
        for row in heard.values()
        if len(row.get("untold", ())) > len(before[row["_id"]].get("untold", ()))
    }
    states.record(changed.values())
    pulse.count(
        Counter(signals[index].actor.organization_id for index in heard if signals[index].kind == "heartbeat")
    )
    told = dict[ObjectId, int]()
    with events.together(), publishing.together():
        for index, row in heard.items():
            actor = signals[index].actor
            if row["_id"] in changed:
                for transition in row["untold"][told.get(row["_id"], 0) :]:
                    states.tell(actor, row, transition)
                told[row["_id"]] = len(row["untold"])
            if signals[index].kind != "log":
                _tell_beat(actor, row)
    states.settle(changed.values())


def _tell_beat(actor: Actor, row: Row) -> None:
    emit(
        "device.heartbeat",
        actor,
        device_id=str(row["_id"]),
        status=row["status"],
        presence=row["presence"],
        last_active_at=row["last_active_at"],
        metrics=row.get("metrics", {}),
    )


def _answer(row: Row) -> Beat:
    moment = row["last_active_at"]
    return Beat(
        str(row["_id"]),
        row["status"],
        row["presence"],
        moment,
        max(clock.now(), moment),
        row["heartbeat_interval"],
    )


_group: Group[Signal, Outcome] = Group(_round, largest=_LARGEST_GROUP)

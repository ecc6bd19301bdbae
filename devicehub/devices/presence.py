"""Presence: what the server finds out about a device by itself, from its signals and from its silence.

Everything here is a function of the stored device and a moment. Nothing is read, written or told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from bson import ObjectId

from devicehub.core import config
from devicehub.core.actor import Actor

LATE_AFTER = 1.5  # heartbeat intervals
GRACE = timedelta(seconds=15)
# The sweeper finds what is due within this. Found later than that, it was we who were away.
PUNCTUAL = timedelta(seconds=2)

Row = dict[str, Any]
Kind = Literal["heartbeat", "log", "goodbye"]


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that a device said, or that somebody said for it: it lives, or it says goodbye."""

    actor: Actor
    device_id: ObjectId
    kind: Kind = "heartbeat"
    told: Mapping[str, Any] = field(default_factory=dict)


class Step(NamedTuple):
    """What becomes of a device by itself, and when."""

    to: Literal["late", "offline", "inactive"]
    at: datetime


def after_signal(row: Row, signal: Signal, now: datetime) -> Row:
    """The device once it has been heard of, at `now` by the server's clock."""
    told, moment = signal.told, max(now, row.get("last_active_at") or now)
    wanted: Row = {"presence": "offline" if signal.kind == "goodbye" else "online"}
    if "firmware_version" in told:
        wanted["firmware_version"] = told["firmware_version"]
    if "status" in told:
        wanted["status"] = told["status"]
    elif row["status"] == "inactive" and row.get("status_by") == "silence":
        wanted["status"] = "active"
    noted: Row = {"kind": signal.kind, "by": signal.actor.device_id or signal.actor.user_id}
    if signal.actor.key_id is not None:
        noted["key_id"] = signal.actor.key_id
    if signal.kind == "goodbye" and told.get("reason"):
        noted["reason"] = told["reason"]
    heard = row | {"last_active_at": moment, "signal": noted}
    if "metrics" in told:
        heard["metrics"] = dict(told["metrics"])
    if "sent_at" in told:
        heard["clock_offset_ms"] = round((told["sent_at"] - now) / timedelta(milliseconds=1))
    return _become(heard, wanted, moment, status_by="device", cause=noted)


def after_silence(row: Row, now: datetime) -> Row:
    """The device by `now` if nothing is heard of it; unchanged but for `due_at` when it is not time yet."""
    if _is_in_time_again(row, now):
        return _become(row, {"presence": "online"}, now, cause={"kind": "interval"})
    step = next_step(row)
    if step is None or step.at > now:
        return _become(row, {}, now)
    wanted = {"status": "inactive"} if step.to == "inactive" else {"presence": step.to}
    return _become(row, wanted, now, status_by="silence", cause={"kind": "silence"})


def _is_in_time_again(row: Row, now: datetime) -> bool:
    """Whether its interval was made so long that it is not late any more."""
    if row["presence"] not in ("late", "offline") or row.get("signal", {}).get("kind") == "goodbye":
        return False
    return late_at(row) > now


def _become(row: Row, wanted: Row, moment: datetime, *, cause: Row | None = None, status_by: str = "") -> Row:
    """The device with what is `wanted` of it; a change of it is numbered, and waits in `untold` to be told."""
    changes = {name: value for name, value in wanted.items() if row.get(name) != value}
    after = row | changes | {"sequence": row["sequence"] + 1}
    if "status" in changes:
        after |= {"status_by": status_by, "status_since": moment}
    if "presence" in changes:
        moment = max(moment, since(row))
        after["presence_since"] = moment
        after["notice"] = {"due_at": moment} if after["presence"] == "offline" else None
    if changes:
        after["transitions"] = row.get("transitions", 0) + 1
        transition = {
            "seq": after["transitions"],
            "at": moment,
            "from": row["presence"],
            "presence": after["presence"],
            "status": after["status"],
            "changes": changes,
            "cause": cause,
        }
        after["untold"] = [*row.get("untold", ()), transition]
    step = next_step(after)
    after["due_at"] = step and step.at
    return after


def next_step(row: Row) -> Step | None:
    """What will become of the device if nothing is heard of it; None when it stays what it is."""
    if row["presence"] == "online":
        return Step("late", late_at(row))
    if row["presence"] == "late":
        return Step("offline", offline_at(row))
    if row["presence"] == "offline" and row["status"] == "active":
        return Step("inactive", inactive_at(row))
    return None


def late_at(row: Row) -> datetime:
    """When its silence is too long."""
    silence: datetime = row["last_active_at"] + timedelta(seconds=LATE_AFTER * row["heartbeat_interval"])
    return silence


def offline_at(row: Row) -> datetime:
    """15 s after it is late.

    A device that was *found* late long after it was had nobody to talk to: it is given the 15 s from then.
    """
    late = late_at(row)
    return (max(late, since(row) - PUNCTUAL) if row["presence"] == "late" else late) + GRACE


def inactive_at(row: Row) -> datetime:
    """When it has been silent, and its status nobody's wish, for so long that it is out of use."""
    silent_since: datetime = max(row["last_active_at"], row.get("status_since") or row["last_active_at"])
    return silent_since + timedelta(seconds=config.current().device_inactive_after)


def since(row: Row) -> datetime:
    """Since when its presence is what it is."""
    moment: datetime = row.get("presence_since") or row["created_at"]
    return moment

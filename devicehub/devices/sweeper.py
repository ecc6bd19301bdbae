"""The sweeper: finds who has been silent for too long, and tells what its finder could not."""

from datetime import timedelta

import structlog
from bson import ObjectId

from devicehub.core import clock, events, metrics
from devicehub.core.actor import Actor
from devicehub.core.duties import Duty
from devicehub.devices import presence, states
from devicehub.devices.models import Device
from devicehub.devices.presence import Row
from devicehub.devices.states import Change
from devicehub.realtime import publishing

log = structlog.get_logger(__name__)

EVERY_S, LEASE_S = 1.0, 5.0
BATCH = 500
# Who wrote a transition is about to tell it; after this they did not.
PATIENCE = timedelta(seconds=2)


def duty() -> Duty:
    """What one of the serving processes does every second."""
    return Duty("presence", sweep, every=EVERY_S, lease=LEASE_S)


def sweep() -> None:
    """Move every device that is due, then tell what was left untold."""
    rows = _due()
    metrics.note_sweep_lag((clock.now() - rows[0]["due_at"]).total_seconds() if rows else 0.0)
    while rows and _move(rows):
        rows = _due()
    while rows := _untold():
        _tell(rows)


def _due() -> list[Row]:
    found = Device._get_collection().find({"due_at": {"$lte": clock.now()}}, states.FIELDS)
    return list(found.sort("due_at", 1).limit(BATCH))


def _move(rows: list[Row]) -> bool:
    """Move these devices to what they are by now; false when somebody was faster with each of them."""
    now = clock.now()
    changes = [Change(row, presence.after_silence(row, now)) for row in rows]
    written = states.write(changes)
    _tell([change.after for change in changes if change.new and change.device_id in written])
    return bool(written)


def _untold() -> list[Row]:
    found = Device._get_collection().find({"untold.at": {"$lte": clock.now() - PATIENCE}}, states.FIELDS)
    return list(found.limit(BATCH))


def _tell(rows: list[Row]) -> None:
    states.record(rows)
    with events.together(), publishing.together():
        for row in rows:
            for transition in row["untold"]:
                states.tell(_nobody(row["organization_id"]), row, transition)
    states.settle(rows)


def _nobody(organization_id: ObjectId) -> Actor:
    """It is nobody's doing."""
    return Actor(user_id="", organization_id=str(organization_id), role="viewer", kind="system")

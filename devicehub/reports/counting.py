"""What was logged and used in a range, by some devices or events: counted by the code of analytics."""

from collections.abc import Collection, Iterator, Sequence

from bson import ObjectId

from devicehub.analytics import reading
from devicehub.analytics.ranges import Range
from devicehub.analytics.reading import Counted
from devicehub.core import ids
from devicehub.core.actor import Actor
from devicehub.core.documents import seen_by
from devicehub.devices.models import Device
from devicehub.logs.models import USAGE
from devicehub.logs.rollups import Tally
from devicehub.reports.batches import batches

BATCH = 200  # of devices, whose days are read together


def count(actor: Actor, range_: Range, *, device_ids: Sequence[str], event_types: Collection[str]) -> Counted:
    """All that was logged in a range; with `device_ids` by these devices, with `event_types` of these events.

    Usage is what `units_consumed` says, or else the values of the events that are named.
    """
    if not device_ids and not event_types:
        return reading.of_organization(
            actor, range_, zones=reading.zones_of(actor.organization_id, range_.timezone)
        )
    found = Counted(trend=[Tally() for _ in range_.buckets])
    chosen = [one for one in map(ids.parse, dict.fromkeys(device_ids)) if one] if device_ids else _all(actor)
    for some in batches(chosen, BATCH):
        for event in event_types or (None,):
            _add(found, actor, some, range_, event, event_types or (USAGE,))
    return found


def used(counted: Counted, event_types: Collection[str]) -> float:
    """All usage in what was counted for these events."""
    return sum(counted.events.get(event, Tally()).sum for event in event_types or (USAGE,))


def _all(actor: Actor) -> Iterator[ObjectId]:
    for row in Device._get_collection().find(seen_by(actor, Device), {"_id": 1}):
        yield row["_id"]


def _add(
    found: Counted,
    actor: Actor,
    devices: list[ObjectId],
    range_: Range,
    event: str | None,
    usage: Collection[str],
) -> None:
    for (device_id, name), parts in reading.of_devices(actor, devices, range_, event=event).items():
        of_event, of_device = found.events.setdefault(name, Tally()), found.devices.setdefault(device_id, Tally())
        for at, tally in parts:
            found.count += tally.count
            of_event.merge(tally)
            counts = tally if name in usage else Tally(tally.count)
            of_device.merge(counts)
            found.trend[range_.place(at.timestamp())].merge(counts)

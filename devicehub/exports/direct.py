"""A device's logs as a file, made while it is sent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.core.errors import InvalidInput
from devicehub.devices import service as devices
from devicehub.exports import service as exports
from devicehub.exports.building import MEDIA_TYPES, layout_of
from devicehub.exports.errors import ExportTooLarge
from devicehub.exports.layouts import Layout
from devicehub.logs import extracts
from devicehub.logs.extracts import Row, Wanted
from devicehub.logs.intake import AHEAD

MOST = 10_000
FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class File:
    """What is sent, under which name, and what it is."""

    name: str
    media_type: str
    parts: Iterator[bytes]


def logs(actor: Actor, device_id: str, query: Mapping[str, Any]) -> File:
    """Up to MOST logs of a device; raises DeviceNotFound, InvalidDateRange, ExportTooLarge or ExportTooWide.

    All of them are read before the first byte is sent: whatever fails, fails in time to be told.
    """
    end: datetime = query.get("end", clock.now() + AHEAD)
    start: datetime = query.get("start") or end - min(exports.LONGEST, end - FIRST)
    exports.check_range(start, end)
    if query["layout"] == "wide" and query["format"] != "csv":
        raise InvalidInput(errors={"layout": ["Only a CSV is wide."]})
    device = devices.row_of(actor, device_id)
    wanted = Wanted(
        start=start,
        end=end,
        device_ids=[device["_id"]],
        events=[query["event"]] if "event" in query else (),
        levels=[query["level"]] if "level" in query else (),
    )
    if extracts.count(actor, wanted, at_most=MOST) > MOST:
        raise ExportTooLarge(limit=MOST, errors={"from": [f"More than {MOST} logs from then on."]})
    layout = layout_of(actor, wanted, query["format"], query["layout"])
    rows = list(extracts.batches(actor, wanted))
    name = f"logs_{start:%Y%m%d}-{end:%Y%m%d}_{device_id[-6:]}.{query['format']}"
    return File(name, MEDIA_TYPES[query["format"]], _written(layout, rows))


def _written(layout: Layout, batches: list[list[Row]]) -> Iterator[bytes]:
    yield layout.head()
    for batch in batches:
        yield layout.rows(batch)
    yield layout.tail()

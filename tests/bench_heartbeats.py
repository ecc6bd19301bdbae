"""Heartbeats written in groups, against each written by itself: a part of `make bench`, and a process of its own.

It runs under gevent, as a serving process does: `python -m tests.bench_heartbeats` reads its settings from the
environment and prints beats a second, in turn, as JSON.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402
import orjson  # noqa: E402
from bson import ObjectId  # noqa: E402
from pymongo import ReturnDocument  # noqa: E402

from devicehub.app import create_app  # noqa: E402
from devicehub.core import clock, config, live, migrations  # noqa: E402
from devicehub.core.events import emit  # noqa: E402
from devicehub.devices import heartbeats, presence, views  # noqa: E402
from devicehub.devices.models import Device  # noqa: E402
from tests import factories  # noqa: E402

CALLERS, SECONDS, TURNS = 128, 2.0, 4
METRICS = {"metrics": {"temperature": 21.5, "battery": 87}}
Beat = Callable[[str], None]


def main() -> None:
    """Beat in one way, then in the other, and again; the medians are what is told."""
    settings = config.load(_env_file=None)
    factories.app = create_app(settings)
    migrations.migrate(settings)
    actor = factories.make_account().actor
    ids = [factories.make_device(actor)["id"] for _ in range(CALLERS)]

    def in_a_group(device_id: str) -> None:
        heartbeats.beat(actor, device_id, METRICS)

    def by_itself(device_id: str) -> None:
        """Whose is it, one conditional update, told: what a heartbeat is without its neighbours."""
        row = Device.objects.visible_to(actor).filter(id=ObjectId(device_id)).only(*_READ).as_pymongo().first()
        live.current().begin({actor.organization_id: [device_id]})
        now = clock.now()
        unchanged = {name: row.get(name) for name in ("status", "status_by", "presence", "firmware_version")}
        due_at = presence.late_at({**row, "last_active_at": now})
        after = Device._get_collection().find_one_and_update(
            {"_id": row["_id"], "organization_id": row["organization_id"], **unchanged},
            {"$max": {"last_active_at": now}, "$set": {**METRICS, "due_at": due_at}, "$inc": {"sequence": 1}},
            _READ,
            return_document=ReturnDocument.AFTER,
        )
        live.current().finish({actor.organization_id: {device_id: views.live_value(after)}})
        facts = {name: after[name] for name in ("status", "presence", "last_active_at", "metrics")}
        emit("device.heartbeat", actor, device_id=device_id, **facts)

    ways: dict[str, Beat] = {"in a group": in_a_group, "by itself": by_itself}
    for device_id in ids:
        in_a_group(device_id)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            rates[name].append(_rate(way, ids))
    sys.stdout.buffer.write(orjson.dumps(rates))


_READ = dict.fromkeys(
    ("organization_id", "status", "status_by", "presence", "firmware_version", "heartbeat_interval",
     "last_active_at", "metrics", "sequence"), 1,
)  # fmt: skip


def _rate(beat: Beat, ids: list[str]) -> float:
    """Beats a second of as many callers as there are devices, each with its own."""
    count, end = 0, time.monotonic() + SECONDS

    def caller(device_id: str) -> None:
        nonlocal count
        while time.monotonic() < end:
            beat(device_id)
            count += 1

    gevent.joinall([gevent.spawn(caller, device_id) for device_id in ids], raise_error=True)
    return count / SECONDS


if __name__ == "__main__":
    main()

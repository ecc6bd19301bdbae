"""What clients are told of each event."""

from datetime import UTC, datetime

import orjson

from devicehub.core.actor import Actor
from devicehub.core.events import Event
from devicehub.realtime import wire
from devicehub.realtime.log import Entry

ACTOR = Actor("65f000000000000000000002", "65f000000000000000000001", "owner")
AT = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)
STATE = {"device_id": "65f000000000000000000003", "status": "active", "presence": "online"}


def told(name: str, audience: str = "org", **data: object) -> dict[str, object]:
    entry = wire.entry_of(Event(name, ACTOR, STATE | data, AT))
    assert entry is not None
    assert entry.audience == audience
    payload = wire.payload_of(Entry(entry.event, entry.audience, entry.payload, "5-0"))
    return {"event": entry.event, **payload}


def test_every_change_of_a_device_is_a_device_update() -> None:
    for name in ("device.created", "device.updated", "device.deleted", "device.status_changed"):
        assert told(name, changes={"name": "New", "seenAt": AT}) == {
            "event": "device-update",
            "id": "5-0",
            "type": "device_status_update",
            "organizationId": ACTOR.organization_id,
            "deviceId": "65f000000000000000000003",
            "status": "active",
            "presence": "online",
            "changes": {"name": "New", "seenAt": "2026-01-31T12:00:00.005Z"},
            "timestamp": "2026-01-31T12:00:00.005Z",
        }


def test_a_heartbeat() -> None:
    assert told("device.heartbeat", last_active_at=AT, metrics={"temperature": 21.5}) == {
        "event": "device-heartbeat",
        "id": "5-0",
        "type": "device_heartbeat",
        "organizationId": ACTOR.organization_id,
        "deviceId": "65f000000000000000000003",
        "status": "active",
        "presence": "online",
        "lastActiveAt": "2026-01-31T12:00:00.005Z",
        "metrics": {"temperature": 21.5},
        "timestamp": "2026-01-31T12:00:00.005Z",
    }


def test_a_notification_is_told_to_whom_it_is_for() -> None:
    facts = {"type": "job", "title": "An export is ready", "message": "Fetch it.", "data": {"jobId": "j"}}
    assert told("notification.created", "user:u", user_id="u", **facts) == {
        "event": "notification",
        "id": "5-0",
        **facts,
        "timestamp": "2026-01-31T12:00:00.005Z",
    }


def test_a_notification_that_is_kept_says_under_which_id() -> None:
    facts = {"type": "report", "title": "Your week", "message": "Read it.", "data": {}}
    assert (
        told("notification.created", "user:u", user_id="u", notification_id="n", **facts)["notificationId"] == "n"
    )


def test_a_jobs_progress_is_told_to_who_asked_for_it() -> None:
    facts = {"job_id": "j", "status": "processing", "progress": 40}
    assert told("job.progressed", f"user:{ACTOR.user_id}", **facts) == {
        "event": "job-progress",
        "id": "5-0",
        "jobId": "j",
        "status": "processing",
        "progress": 40,
        "timestamp": "2026-01-31T12:00:00.005Z",
    }


def test_what_clients_have_no_business_with_is_not_told() -> None:
    assert wire.entry_of(Event("session.ended", ACTOR, {}, AT)) is None


def test_without_a_log_there_is_no_id() -> None:
    entry = Entry("device-update", "org", b'{"deviceId":"d"}')
    assert wire.payload_of(entry) == {"id": None, "deviceId": "d"}
    assert wire.frame("device-update", {"a": 1}, entry.id) == b'event: device-update\ndata: {"a":1}\n\n'


def test_a_frame_carries_the_id_and_stays_one_line_of_data() -> None:
    framed = wire.frame("device-update", {"name": "two\nlines\r\n"}, "5-0")
    head, data = framed.decode().removesuffix("\n\n").split("\ndata: ")
    assert head == "id: 5-0\nevent: device-update"
    assert orjson.loads(data) == {"name": "two\nlines\r\n"}
    assert "\n" not in data and "\r" not in data


def test_what_everyone_hears_is_heard_by_those_who_asked_for_the_device() -> None:
    entry = Entry("device-update", "org", b"")
    assert wire.audiences_of(entry, {"deviceId": "d"}) == ["org", "device:d"]
    assert wire.audiences_of(Entry("notification", "user:u", b""), {"deviceId": "d"}) == ["user:u"]

"""Signs of life."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from devicehub.devices import service as devices
from devicehub.devices.models import Device
from tests.factories import make_account, make_device

pytestmark = pytest.mark.actor()


@pytest.fixture
def device(actor: Any) -> dict[str, Any]:
    return make_device(actor)


def beat(client: FlaskClient, device: dict[str, Any], **told: Any) -> Any:
    return client.post(f"/api/devices/{device['id']}/heartbeat", json=told)


def test_a_beat_brings_a_device_online_by_the_servers_clock(client: FlaskClient, device: dict[str, Any]) -> None:
    answer = beat(client, device, sentAt="1999-01-01T00:00:00Z")
    assert answer.status_code == 200
    assert answer.json["presence"] == "online"
    assert answer.json["nextHeartbeatIn"] == 60
    assert answer.json["lastActiveAt"] <= answer.json["serverTime"]
    shown = client.get(f"/api/devices/{device['id']}").json
    assert (shown["presence"], shown["lastActiveAt"]) == ("online", answer.json["lastActiveAt"])


def test_a_beat_needs_no_body(client: FlaskClient, device: dict[str, Any]) -> None:
    assert client.post(f"/api/devices/{device['id']}/heartbeat").status_code == 200


def test_metrics_are_the_last_ones_told(client: FlaskClient, device: dict[str, Any]) -> None:
    beat(client, device, metrics={"temperature": 21.5, "a.b": 1})
    beat(client, device)
    shown = client.get(f"/api/devices/{device['id']}").json
    assert shown["metrics"] == {"temperature": 21.5, "a.b": 1}
    beat(client, device, metrics={"humidity": 40})
    assert client.get("/api/devices").json["items"][0]["metrics"] == {"humidity": 40}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metrics", {"a": "hot"}),
        ("metrics", {"a": True}),
        ("metrics", {"$set": 1}),
        ("metrics", {"": 1}),
        ("metrics", {str(number): number for number in range(51)}),
        ("metrics", [1]),
        ("status", "broken"),
        ("firmwareVersion", {"$gt": ""}),
        ("sentAt", "2026-01-01T00:00:00"),
        ("presence", "online"),
        ("lastActiveAt", "2026-01-01T00:00:00Z"),
    ],
)
def test_an_odd_beat_is_refused_and_is_no_sign_of_life(
    client: FlaskClient, device: dict[str, Any], field: str, value: Any
) -> None:
    answer = beat(client, device, **{field: value})
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert client.get(f"/api/devices/{device['id']}").json["presence"] == "never_seen"


def test_a_status_set_by_a_person_stays_unless_the_beat_names_another(
    client: FlaskClient, device: dict[str, Any]
) -> None:
    client.patch(f"/api/devices/{device['id']}", json={"status": "inactive"})
    assert beat(client, device).json["status"] == "inactive"
    assert beat(client, device, status="maintenance").json["status"] == "maintenance"


def test_a_status_made_inactive_by_silence_is_active_again(client: FlaskClient, device: dict[str, Any]) -> None:
    Device.objects(id=device["id"]).update(status="inactive", status_by="silence")
    assert beat(client, device).json["status"] == "active"


def test_a_person_who_keeps_it_inactive_while_it_beats_is_heard(
    client: FlaskClient, device: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Device.objects(id=device["id"]).update(status="inactive", status_by="silence")
    read = devices.row_of

    def read_and_be_overtaken(*args: Any) -> dict[str, Any]:
        row = read(*args)
        client.patch(f"/api/devices/{device['id']}", json={"status": "inactive"})
        return row

    monkeypatch.setattr(devices, "row_of", read_and_be_overtaken)
    assert beat(client, device).json["status"] == "inactive"


def test_a_viewer_may_not_beat(client: FlaskClient, device: dict[str, Any], client_of: Any, actor: Any) -> None:
    viewer = client_of(make_account(role="viewer", organization_id=actor.organization_id))
    assert beat(viewer, device).json["code"] == "INSUFFICIENT_ROLE"


def test_beats_keep_lists_hot_and_never_stale(client: FlaskClient, device: dict[str, Any]) -> None:
    beat(client, device)
    client.get("/api/devices")
    for number in range(5):
        answer = beat(client, device, metrics={"n": number})
        listed = client.get("/api/devices")
        assert listed.headers["X-Cache"] == "HIT"
        assert listed.json["items"][0]["metrics"] == {"n": number}
        assert listed.json["items"][0]["lastActiveAt"] == answer.json["lastActiveAt"]


def test_a_beat_that_changes_something_outdates_lists(client: FlaskClient, device: dict[str, Any]) -> None:
    assert [item["id"] for item in client.get("/api/devices?presence=never_seen").json["items"]] == [device["id"]]
    beat(client, device)
    assert client.get("/api/devices?presence=never_seen").json["items"] == []
    beat(client, device, firmwareVersion="2.0")
    assert client.get("/api/devices").json["items"][0]["firmwareVersion"] == "2.0"
    client.get("/api/devices?status=active")
    beat(client, device, status="maintenance")
    assert client.get("/api/devices?status=active").json["items"] == []


def test_an_order_by_last_activity_is_never_cached(
    client: FlaskClient, actor: Any, device: dict[str, Any]
) -> None:
    other = make_device(actor)
    for latest in (device, other, device):
        beat(client, latest)
        answer = client.get("/api/devices?sort=-lastActiveAt")
        assert answer.headers["X-Cache"] == "BYPASS"
        assert answer.json["items"][0]["id"] == latest["id"]


def test_concurrent_beats_all_count_and_the_latest_is_shown(app: Flask, client: FlaskClient, account: Any) -> None:
    device = make_device(account.actor)

    def one(number: int) -> int:
        with app.test_client() as own:
            path = f"/api/devices/{device['id']}/heartbeat"
            told = {"metrics": {"n": number}, "status": ("active", "maintenance")[number % 2]}
            return int(own.post(path, json=told, headers=account.headers).status_code)

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(one, range(40)))
    assert set(codes) <= {200, 409}
    stored = Device.objects.get(id=device["id"])
    assert stored.beats == codes.count(200)
    shown = client.get(f"/api/devices/{device['id']}").json
    assert (shown["status"], shown["metrics"]) == (stored.status, stored.metrics)


def test_beats_are_told_with_what_they_changed(
    client: FlaskClient, device: dict[str, Any], told: list[Any]
) -> None:
    beat(client, device, metrics={"t": 1}, firmwareVersion="1.0")
    beat(client, device)
    assert [event.name for event in told] == ["device.status_changed", "device.heartbeat", "device.heartbeat"]
    assert told[0].data["changes"] == {"presence": "online", "firmwareVersion": "1.0"}
    assert told[1].data["metrics"] == {"t": 1}

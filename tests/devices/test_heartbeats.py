"""Signs of life."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from devicehub.core.errors import Conflict
from devicehub.devices import heartbeats, schemas, states, views
from devicehub.devices.errors import DeviceNotFound
from devicehub.devices.models import Device, PresenceChange
from devicehub.devices.presence import Signal
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


def test_the_answer_is_what_its_schema_says(actor: Any, device: dict[str, Any]) -> None:
    heard = heartbeats.beat(actor, device["id"], {})
    assert views.beat(heard) == schemas.HeartbeatResultSchema().dump(heard)


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
        ("goodbye", "true"),
        ("goodbye", 1),
        ("reason", "x" * 101),
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
    read, overtakers = states.read, ["a person"]

    def read_and_be_overtaken(*args: Any) -> Any:
        rows = read(*args)
        if overtakers and overtakers.pop():
            client.patch(f"/api/devices/{device['id']}", json={"status": "inactive"})
        return rows

    monkeypatch.setattr(states, "read", read_and_be_overtaken)
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
    stored = Device.objects.get(id=device["id"])
    assert stored.sequence == codes.count(200) == 40
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


def test_a_goodbye_is_told_with_its_reason(client: FlaskClient, device: dict[str, Any], told: list[Any]) -> None:
    beat(client, device)
    answer = beat(client, device, goodbye=True, reason="reboot")
    assert (answer.status_code, answer.json["presence"]) == (200, "offline")
    assert told[-2].data["changes"] == {"presence": "offline"}
    assert beat(client, device, goodbye=False).json["presence"] == "online"


def gateway(client: FlaskClient, *heartbeats: Any) -> Any:
    return client.post("/api/devices/heartbeats", json={"heartbeats": list(heartbeats)})


@pytest.mark.actor(role="viewer")
def test_a_viewer_may_not_tell_for_a_gateway(client: FlaskClient) -> None:
    assert gateway(client, {}).json["code"] == "INSUFFICIENT_ROLE"


def test_a_gateway_tells_of_many_and_each_is_judged_by_itself(client: FlaskClient, actor: Any) -> None:
    one, other, foreign = make_device(actor), make_device(actor), make_device(make_account().actor)
    answer = gateway(
        client,
        {"deviceId": one["id"], "metrics": {"n": 1}},
        {"deviceId": foreign["id"]},
        {"deviceId": other["id"], "status": "broken"},
        None,
        {"metrics": {}},
        {"deviceId": "nonsense"},
        {"deviceId": other["id"], "goodbye": True},
        {"device_id": one["id"], "firmwareVersion": "2"},
    )
    assert answer.status_code == 200
    assert (answer.json["accepted"], answer.json["rejected"]) == (3, 5)
    items = answer.json["items"]
    assert [item["index"] for item in items] == list(range(8))
    assert [item["status"] for item in items] == [200, 404, 422, 422, 422, 404, 200, 200]
    assert items[1]["error"]["code"] == "DEVICE_NOT_FOUND"
    assert list(items[2]["error"]["errors"]) == ["status"]
    assert items[6]["heartbeat"]["presence"] == "offline"
    shown = client.get(f"/api/devices/{one['id']}").json
    assert (shown["metrics"], shown["firmwareVersion"], shown["presence"]) == ({"n": 1}, "2", "online")
    assert Device.objects.get(id=foreign["id"]).presence == "never_seen"


def test_a_device_may_be_in_a_batch_twice_and_the_last_word_holds(client: FlaskClient, actor: Any) -> None:
    device = make_device(actor)
    said = [{"deviceId": device["id"], **told} for told in ({}, {"goodbye": True}, {"metrics": {"n": 3}})]
    items = gateway(client, *said).json["items"]
    assert [item["heartbeat"]["presence"] for item in items] == ["online", "offline", "online"]
    stored = Device.objects.get(id=device["id"])
    assert (stored.sequence, stored.transitions, stored.untold) == (3, 3, [])
    assert PresenceChange.objects(device_id=stored.id).count() == 3


@pytest.mark.parametrize("batch", [[], [{}] * 501, None, {"deviceId": "x"}])
def test_a_batch_is_a_list_of_1_to_500(client: FlaskClient, batch: Any) -> None:
    answer = client.post("/api/devices/heartbeats", json={"heartbeats": batch})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["heartbeats"])


def test_a_key_speaks_for_its_own_device_alone(actor: Any, device: dict[str, Any]) -> None:
    own = replace(actor, kind="device", device_id=device["id"], user_id="")
    assert heartbeats.beat(own, device["id"], {}).presence == "online"
    with pytest.raises(DeviceNotFound):
        heartbeats.beat(own, make_device(actor)["id"], {})


def test_a_log_is_a_sign_of_life_but_no_heartbeat(actor: Any, device: dict[str, Any], told: list[Any]) -> None:
    [outcome] = heartbeats.note([Signal(actor, ObjectId(device["id"]), "log")])
    assert isinstance(outcome, views.Beat) and outcome.presence == "online"
    assert [event.name for event in told] == ["device.status_changed"]


def test_who_lost_to_somebody_else_is_written_again_and_the_others_are_not(
    actor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = [make_device(actor) for _ in range(4)]
    write, rivals = states._write, [fleet[1]["id"], fleet[2]["id"]]

    def overtaken(changes: list[states.Change]) -> Any:
        while rivals:
            Device.objects(id=rivals.pop()).update(inc__sequence=1, set__written_by="another process")
        return write(changes)

    monkeypatch.setattr(states, "_write", overtaken)
    outcomes = heartbeats.beat_all(actor, [(device["id"], {}) for device in fleet])
    assert [type(outcome) for outcome in outcomes] == [views.Beat] * 4
    assert [Device.objects.get(id=device["id"]).sequence for device in fleet] == [1, 2, 2, 1]
    assert [Device.objects.get(id=device["id"]).transitions for device in fleet] == [1] * 4


def test_who_is_overtaken_again_and_again_is_told_so_alone(actor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = make_device(actor), make_device(actor)
    write = states._write

    def overtaken(changes: list[states.Change]) -> Any:
        Device.objects(id=one["id"]).update(inc__sequence=1)
        return write(changes)

    monkeypatch.setattr(states, "_write", overtaken)
    refused, kept = heartbeats.beat_all(actor, [(one["id"], {}), (other["id"], {})])
    assert (type(refused), type(kept)) == (Conflict, views.Beat)


def test_what_is_deleted_while_it_beats_is_not_found(actor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device, write = make_device(actor), states._write

    def deleted(changes: list[states.Change]) -> Any:
        Device.objects(id=device["id"]).delete()
        return write(changes)

    monkeypatch.setattr(states, "_write", deleted)
    with pytest.raises(DeviceNotFound):
        heartbeats.beat(actor, device["id"], {})

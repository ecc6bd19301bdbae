"""Which events are recorded, and which never are."""

import ast
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.audit import trail as audited
from devicehub.core.actor import Actor
from devicehub.core.events import emit
from tests.audit.conftest import Trail
from tests.conftest import ROOT, profiling
from tests.factories import PASSWORD, Account, make_device

FACTS = {
    name: f"the {name}"
    for name in (
        "session_id",
        "token_id",
        "user_id",
        "device_id",
        "role",
        "reason",
        "schedule_id",
        "job_id",
        "type",
        "format",
        "file_name",
    )
}


@pytest.mark.actor()
@pytest.mark.parametrize("name", sorted(audited.AUDITED))
def test_every_event_of_the_table_is_recorded_with_its_target(actor: Actor, trail: Trail, name: str) -> None:
    target, kept = audited.AUDITED[name]
    before = len(trail(actor, name))
    emit(name, actor, **FACTS, changes={"name": "new"})
    *_, entry = trail(actor, name)
    assert len(trail(actor, name)) == before + 1
    assert (entry["target"], entry["outcome"]) == (f"the {target}", "done")
    assert set(entry.get("changes", {})) == {"name" if fact == "changes" else fact for fact in kept}


def test_nothing_is_recorded_by_the_table_and_by_its_service_too() -> None:
    named = set()
    for path in (ROOT / "devicehub").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("audit"), attr="intended" | "record"),
                    args=[_, ast.Constant(str(action)), *_],
                ):
                    named.add(action)
    assert "device.deleted" in named
    assert named & set(audited.AUDITED) == set()


def test_signing_up_in_and_out_leaves_a_trail_with_address_and_request(client: FlaskClient, trail: Trail) -> None:
    ada = {"email": "ada@example.com", "password": PASSWORD}
    made = client.post("/api/auth/signup", json=ada | {"name": "Ada"}, headers={"X-Request-ID": "r1"}).json
    tokens = client.post("/api/auth/login", json=ada, headers={"X-Request-ID": "r2"}).json
    signed = {"Authorization": f"Bearer {tokens['accessToken']}", "X-Request-ID": "r3"}
    client.post("/api/auth/logout", headers=signed)
    rows = trail(Actor(made["user"]["id"], made["organization"]["id"], "owner"))
    assert [(row["action"], row["request_id"]) for row in rows] == [
        ("user.signed_up", "r1"),
        ("session.opened", "r2"),
        ("session.ended", "r3"),
    ]
    assert {(str(row["actor_id"]), row["ip"]) for row in rows} == {(made["user"]["id"], "127.0.0.1")}
    assert rows[1]["target"] == rows[2]["target"]
    assert rows[2]["changes"] == {"reason": "logout"}


@pytest.mark.actor()
def test_a_change_is_recorded_without_its_secrets(client: FlaskClient, actor: Actor, trail: Trail) -> None:
    path = f"/api/devices/{make_device(actor)['id']}"
    client.patch(path, json={"name": "Pump", "metadata": {"wifi": {"ssid": "barn", "password": "hunter2"}}})
    [row] = trail(actor, "device.updated")
    assert row["changes"] == {"name": "Pump", "metadata": {"wifi": {"ssid": "barn", "password": "***"}}}
    assert row["target"] == path.rpartition("/")[2]


@pytest.mark.actor()
def test_signs_of_life_are_no_acts(client: FlaskClient, actor: Actor, trail: Trail) -> None:
    device = make_device(actor)["id"]
    before = trail(actor)
    for told in ({}, {"status": "maintenance"}, {"status": "active", "firmwareVersion": "2"}):
        assert client.post(f"/api/devices/{device}/heartbeat", json=told).status_code == 200
    assert trail(actor) == before


@pytest.mark.actor()
def test_a_batch_is_recorded_device_by_device_in_one_write(
    client: FlaskClient, account: Account, trail: Any
) -> None:
    batch = [{"name": f"Sensor {number}", "type": "sensor"} for number in range(100)]
    with profiling() as profile:
        made = client.post("/api/devices/batch", json={"devices": batch}).json
        writes = list(profile.find({"op": "insert", "ns": f"{profile.database.name}.audit_entries"}))
    assert [row["target"] for row in trail(account.actor, "device.created")] == [
        item["device"]["id"] for item in made["items"]
    ]
    assert len(writes) == 1

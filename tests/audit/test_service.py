"""Intents and records: what cannot be recorded is not done, and what is done is not undone for the record's sake."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from pymongo.errors import PyMongoError

from devicehub.audit import service as audit
from devicehub.audit import verification
from devicehub.core import logging, mongo
from devicehub.core.actor import Actor
from devicehub.core.config import Settings
from devicehub.core.errors import Conflict, Forbidden
from devicehub.core.paging import After
from tests.audit.conftest import Trail
from tests.conftest import Servers
from tests.factories import make_account, make_device

ADA = Actor(
    "65f0a1b2c3d4e5f6a7b8c9d0", "65f0a1b2c3d4e5f6a7b8c9d1", "owner", request_id="request-1", ip="192.0.2.7"
)

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def logged(settings: Settings, tmp_path: Path) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """What has been logged of one event since the test began."""
    path = tmp_path / "log"
    logging.setup(settings.model_copy(update={"log_file": path, "log_level": "INFO"}))
    yield lambda event: [line for line in map(json.loads, path.read_text().splitlines()) if line["event"] == event]
    logging.setup(settings)


def lost() -> float:
    return REGISTRY.get_sample_value("devicehub_degraded_total", {"what": "audit"}) or 0


def test_what_is_intended_is_recorded_before_it_is_done_and_completed_after(trail: Trail) -> None:
    with audit.intended(ADA, "member.role_changed", target="somebody", changes={"role": "admin"}):
        [intent] = trail(ADA)
        assert intent["outcome"] == "intended"
    assert trail(ADA)[0] == intent
    told = {name: intent[name] for name in ("action", "target", "changes", "actor_kind", "ip", "request_id")}
    assert told == {
        "action": "member.role_changed",
        "target": "somebody",
        "changes": {"role": "admin"},
        "actor_kind": "user",
        "ip": "192.0.2.7",
        "request_id": "request-1",
    }
    assert str(intent["actor_id"]) == ADA.user_id
    completion = trail(ADA)[1]
    assert (completion["outcome"], completion["intent"], completion["target"]) == ("done", 1, "somebody")


@pytest.mark.parametrize(
    ("error", "code"), [(Conflict(), "CONFLICT"), (RuntimeError("what nobody may read"), "INTERNAL_ERROR")]
)
def test_what_fails_is_recorded_with_the_code_the_client_sees(trail: Trail, error: Exception, code: str) -> None:
    with pytest.raises(type(error)), audit.intended(ADA, "organization.deleted"):
        raise error
    [_, completion] = trail(ADA)
    assert (completion["outcome"], completion["error"], completion["intent"]) == ("failed", code, 1)
    assert "what nobody may read" not in str(completion)


def test_intents_within_each_other_complete_each_its_own(trail: Trail) -> None:
    with audit.intended(ADA, "organization.deleted"), audit.intended(ADA, "member.removed"):
        pass
    told = [(row["action"], row["outcome"], row.get("intent")) for row in trail(ADA)]
    assert told == [
        ("organization.deleted", "intended", None),
        ("member.removed", "intended", None),
        ("member.removed", "done", 2),
        ("organization.deleted", "done", 1),
    ]


@pytest.mark.xdist_group("outage")
def test_what_cannot_be_recorded_is_not_done(servers: Servers, trail: Trail) -> None:
    done = []
    servers.mongod.stop()
    try:
        with pytest.raises(PyMongoError) as refusal, audit.intended(ADA, "organization.deleted"):
            done.append("it")
    finally:
        servers.restart_mongod()
    assert mongo.is_outage(refusal.value)
    assert done == [] == trail(ADA)


@pytest.mark.xdist_group("outage")
def test_what_is_done_stays_done_when_its_end_cannot_be_recorded(
    servers: Servers, trail: Trail, logged: Callable[[str], list[dict[str, Any]]]
) -> None:
    before = lost()
    try:
        with audit.intended(ADA, "organization.deleted", target="it"):
            servers.mongod.stop()
        audit.record(ADA, "session.opened")
    finally:
        servers.restart_mongod()
    assert lost() == before + 2
    completion, record = (line["entry"] for line in logged("audit.entry_lost"))
    assert (completion["action"], completion["target"], completion["outcome"]) == (
        "organization.deleted",
        "it",
        "done",
    )
    assert (completion["intent"], record["action"]) == ("1", "session.opened")
    assert [row["outcome"] for row in trail(ADA)] == ["intended"]


@pytest.mark.actor()
def test_a_device_is_not_deleted_when_the_trail_takes_nothing(client: FlaskClient, actor: Actor) -> None:
    path = f"/api/devices/{make_device(actor)['id']}"
    mongo.database().command("collMod", "audit_entries", validator={"nothing": {"$exists": True}})
    try:
        assert client.delete(path).status_code == 500
    finally:
        mongo.database().command("collMod", "audit_entries", validator={})
    assert client.get(path).status_code == 200
    assert client.delete(path).status_code == 204


@pytest.mark.actor()
def test_the_deletion_of_a_device_says_what_it_was(client: FlaskClient, actor: Actor, trail: Trail) -> None:
    device = make_device(actor, serial_number="SN-1")
    assert client.delete(f"/api/devices/{device['id']}", headers={"X-Request-ID": "r1"}).status_code == 204
    intent, completion = trail(actor, "device.deleted")
    assert (intent["outcome"], completion["outcome"]) == ("intended", "done")
    assert completion["intent"] == intent["sequence"]
    assert intent["target"] == completion["target"] == device["id"]
    assert intent["changes"] == {name: device[name] for name in ("name", "type", "serialNumber", "ownerId")}
    assert intent["request_id"] == completion["request_id"] == "r1"


def test_who_may_not_delete_a_device_is_recorded_and_an_unknown_one_is_not(
    client_of: Callable[..., FlaskClient], trail: Trail
) -> None:
    ada = make_account()
    bob = make_account(role="operator", organization_id=ada.actor.organization_id)
    device = make_device(ada.actor)
    assert client_of(bob).delete(f"/api/devices/{device['id']}").status_code == 403
    assert client_of(bob).delete(f"/api/devices/{ObjectId()}").status_code == 404
    [_, failure] = trail(ada.actor, "device.deleted")
    assert (failure["outcome"], failure["error"]) == ("failed", "FORBIDDEN")
    assert (str(failure["actor_id"]), failure["target"]) == (bob.actor.user_id, device["id"])


def test_what_is_gathered_is_written_together_in_the_chain_it_belongs_to(trail: Trail) -> None:
    other = Actor(ADA.user_id, str(ObjectId()), "owner")
    with pytest.raises(Conflict), audit.gathered():
        for number in range(3):
            audit.record(ADA, "test.done", target=str(number))
            audit.record(other, "test.done", target=str(number))
        assert trail(ADA) == trail(other) == []
        raise Conflict()
    for actor in (ADA, other):
        assert [row["target"] for row in trail(actor)] == ["0", "1", "2"]
        assert verification.verify(ObjectId(actor.organization_id), {}).broken_at is None


@pytest.mark.parametrize("kind", ["device", "api_key", "system"])
def test_only_people_read_the_trail(kind: Any) -> None:
    with pytest.raises(Forbidden):
        audit.find(Actor(ADA.user_id, ADA.organization_id, "owner", kind=kind), {}, After())

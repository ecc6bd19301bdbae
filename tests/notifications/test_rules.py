"""When people are told that a device is offline: who reads it, who sets it, and what a device has of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.audit.models import AuditEntry
from devicehub.core.actor import ROLES, Role, at_least
from devicehub.devices import service as devices
from devicehub.notifications.models import Rule
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations
from tests.factories import Account, make_account, make_device
from tests.jobs.inline import run_due_jobs
from tests.web.refusals import refused

AT = "/api/notifications/rules"
NIGHT = {"from": "22:00", "to": "07:00"}
NEVER = {"from": "00:00", "to": "00:00"}


def test_a_stranger_reads_and_sets_none(client: FlaskClient) -> None:
    device = f"{AT}/{ObjectId()}"
    for method, path in (("GET", AT), ("PATCH", AT), ("GET", device), ("PATCH", device)):
        refused(client.open(path, method=method, json={} if method == "PATCH" else None), 401)


@pytest.mark.actor()
def test_another_organizations_device_is_unknown(client: FlaskClient) -> None:
    theirs = f"{AT}/{make_device(make_account().actor)['id']}"
    refused(client.get(theirs), 404, "DEVICE_NOT_FOUND")
    refused(client.patch(theirs, json={"graceSeconds": 1}), 404, "DEVICE_NOT_FOUND")
    refused(client.patch(theirs, json={}), 404, "DEVICE_NOT_FOUND")
    assert Rule.objects.count() == 0


@pytest.mark.parametrize("role", ROLES)
def test_everybody_reads_it_and_admins_set_it(client_of: Callable[[Account], FlaskClient], role: Role) -> None:
    client = client_of(make_account(role=role))
    assert client.get(AT).json == {"graceSeconds": 60, "quietHours": None, "timezone": "UTC"}
    answer = client.patch(AT, json={"graceSeconds": 300, "quietHours": NIGHT})
    if at_least(role, "admin"):
        assert answer.json == {"graceSeconds": 300, "quietHours": NIGHT, "timezone": "UTC"} == client.get(AT).json
        assert client.patch(AT, json={"quietHours": None}).json["quietHours"] is None
        assert client.patch(AT, json={}).json == client.get(AT).json
    else:
        refused(answer, 403, "INSUFFICIENT_ROLE")


@pytest.mark.actor(role="operator")
def test_an_operator_sets_it_for_their_own_devices(client: FlaskClient, account: Account) -> None:
    admin = make_account(role="admin", organization_id=account.actor.organization_id)
    own, anothers = (f"{AT}/{make_device(one.actor)['id']}" for one in (account, admin))
    assert client.patch(own, json={"graceSeconds": 5}).status_code == 200
    refused(client.patch(anothers, json={"graceSeconds": 5}), 403, "FORBIDDEN")
    assert client.get(anothers).json["graceSeconds"] is None


@pytest.mark.actor()
def test_what_a_device_has_not_of_its_own_is_as_in_its_organization(client: FlaskClient, account: Account) -> None:
    organizations.update(account.actor, {"timezone": "Europe/Berlin"})
    client.patch(AT, json={"graceSeconds": 300, "quietHours": NIGHT})
    device_id = make_device(account.actor)["id"]
    one = f"{AT}/{device_id}"
    ours = {"graceSeconds": 300, "quietHours": NIGHT, "timezone": "Europe/Berlin"}
    assert client.get(one).json == {
        "deviceId": device_id,
        "graceSeconds": None,
        "quietHours": None,
        "applied": ours,
    }
    assert client.patch(one, json={"graceSeconds": 0}).json["applied"] == ours | {"graceSeconds": 0}
    answer = client.patch(one, json={"quietHours": NEVER, "graceSeconds": None}).json
    assert answer["applied"] == ours | {"quietHours": NEVER}
    assert client.get(AT).json == ours


@pytest.mark.actor()
@pytest.mark.parametrize(
    "odd",
    [
        {"graceSeconds": -1},
        {"graceSeconds": 86_401},
        {"graceSeconds": "300"},
        {"graceSeconds": None},
        {"quietHours": {"from": "22:00"}},
        {"quietHours": {"from": "24:00", "to": "07:00"}},
        {"quietHours": {"from": "22:00\n", "to": "07:00"}},
        {"quietHours": {"from": "7:00", "to": "08:00"}},
        {"quietHours": "22:00-07:00"},
        {"timezone": "UTC"},
    ],
)
def test_what_makes_no_sense_is_refused(client: FlaskClient, odd: dict[str, Any]) -> None:
    problem = refused(client.patch(AT, json=odd), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == list(odd)


@pytest.mark.actor()
def test_a_change_is_in_the_audit_trail(client: FlaskClient, account: Account) -> None:
    client.patch(AT, json={"graceSeconds": 300})
    intended, done = AuditEntry.objects(action="notification_rule.updated").order_by("sequence")
    assert (intended.outcome, done.outcome) == ("intended", "done")
    assert (intended.target, intended.changes) == (account.actor.organization_id, {"grace_seconds": 300})


@pytest.mark.actor()
def test_rules_go_with_what_they_are_of(client: FlaskClient, account: Account) -> None:
    made = organizations.create_own(account.actor, {"name": "Spare"})
    spare = organizations.require(account.actor, str(made.id))
    for actor in (account.actor, spare):
        device_id = make_device(actor)["id"]
        Rule(id=ObjectId(device_id), organization_id=ObjectId(actor.organization_id), grace_s=5).save()
        Rule(id=ObjectId(actor.organization_id), organization_id=ObjectId(actor.organization_id)).save()
    deletions.delete(spare)
    run_due_jobs()
    assert Rule.objects(organization_id=made.id).count() == 0
    [kept] = [row.id for row in Rule.objects if str(row.id) != account.actor.organization_id]
    devices.delete(account.actor, str(kept))
    run_due_jobs()
    assert [str(row.id) for row in Rule.objects] == [account.actor.organization_id]

"""Organizations, from outside: whose they are, what of them may change, and what one may do there."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from devicehub.core.actor import ROLES
from devicehub.core.events import Event
from devicehub.organizations import members
from devicehub.organizations import service as organizations
from devicehub.organizations.models import PERMISSIONS
from devicehub.organizations.schemas import OrganizationSchema
from devicehub.web.guards import guard_of
from tests.factories import Account, go_on_in, join, let_redis_remember, log_in, make_account
from tests.web.refusals import refused

ALL = "/api/organizations"
ClientOf = Callable[[Account], FlaskClient]


def address(account: Account, *further: str) -> str:
    """Where the account's active organization is, or something in it."""
    return "/".join([ALL, account.actor.organization_id, *further])


def test_a_stranger_sees_and_makes_none(client: FlaskClient) -> None:
    one = address(make_account())
    for method, path in (("GET", ALL), ("POST", ALL), ("GET", one), ("PATCH", one), ("DELETE", one)):
        refused(client.open(path, method=method), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
@pytest.mark.parametrize("further", ["", "/permissions", "/members", "/invitations"])
def test_anothers_does_not_exist(client: FlaskClient, further: str) -> None:
    theirs = make_account().actor.organization_id
    refused(client.get(f"{ALL}/{theirs}{further}"), 404, "ORGANIZATION_NOT_FOUND")


@pytest.mark.actor()
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_nor_can_anothers_be_changed(client: FlaskClient, client_of: ClientOf, method: str) -> None:
    other = make_account()
    before = client_of(other).get(address(other)).json
    refused(client.open(address(other), method=method), 404, "ORGANIZATION_NOT_FOUND")
    assert client_of(other).get(address(other)).json == before


@pytest.mark.actor()
def test_everybody_has_the_one_they_signed_up_with(client: FlaskClient, account: Account) -> None:
    found = client.get(ALL).json
    assert found["pagination"]["total"] == 1
    [own] = found["items"]
    assert (own["id"], own["role"], own["personal"]) == (account.actor.organization_id, "owner", True)
    assert own["timezone"] == "UTC"
    assert client.get(address(account)).json == own
    assert OrganizationSchema().validate(own) == {}


@pytest.mark.actor()
def test_whoever_makes_one_owns_it_and_goes_on_with_the_same_token(
    client: FlaskClient, told: list[Event], account: Account
) -> None:
    answer = client.post(ALL, json={"name": "Analytical Engines", "timezone": "Europe/London"})
    assert answer.status_code == 201
    made = answer.json
    assert (made["name"], made["timezone"], made["role"]) == ("Analytical Engines", "Europe/London", "owner")
    assert made["personal"] is False
    assert answer.headers["Location"] == f"{ALL}/{made['id']}"
    assert client.get(answer.headers["Location"]).json == made
    [event] = told
    assert (event.name, event.data) == ("organization.created", {"organization_id": made["id"]})
    assert (event.actor.user_id, event.actor.organization_id) == (account.actor.user_id, made["id"])


@pytest.mark.actor()
def test_whoever_made_one_may_be_active_there_at_once(client: FlaskClient, account: Account) -> None:
    let_redis_remember(account)
    made = client.post(ALL, json={"name": "Engines"}).json["id"]
    active = go_on_in(account, made)
    assert client.get("/api/devices", headers=active.headers).status_code == 200
    assert (active.actor.organization_id, active.actor.role) == (made, "owner")


@pytest.mark.actor()
def test_made_twice_with_one_key_it_is_one(client: FlaskClient) -> None:
    answers = [client.post(ALL, json={"name": "Engines"}, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json == answers[1].json
    assert client.get(ALL).json["pagination"]["total"] == 2


@pytest.mark.actor()
def test_they_come_in_pages_oldest_first(client: FlaskClient) -> None:
    names = [client.post(ALL, json={"name": f"Engines {number}"}).json["name"] for number in range(4)]
    pages = [client.get(f"{ALL}?limit=2&page={number}").json for number in (1, 2, 3)]
    assert [item["name"] for page in pages for item in page["items"]][1:] == names
    assert pages[0]["pagination"] == {
        "page": 1, "limit": 2, "total": 5, "pages": 3, "hasNext": True, "hasPrev": False
    }  # fmt: skip


@pytest.mark.actor()
def test_nobody_owns_more_than_they_may(
    client: FlaskClient, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organizations, "MOST_OWNED", 2)
    join(account, make_account().actor.organization_id, role="admin")  # a membership is not an owner's
    assert client.post(ALL, json={"name": "The second"}).status_code == 201
    refused(client.post(ALL, json={"name": "The third"}), 409, "CONFLICT")
    assert client.get(ALL).json["pagination"]["total"] == 3


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, "name"),
        ({"name": "x"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "Engines", "timezone": "Europe/Atlantis"}, "timezone"),
        ({"name": "Engines", "timezone": "../../etc/passwd"}, "timezone"),
        ({"name": "Engines", "timezone": "localtime"}, "timezone"),
        ({"name": "Engines", "timezone": ""}, "timezone"),
        ({"name": "Engines", "personal": True}, "personal"),
        ({"name": "Engines", "members": []}, "members"),
    ],
)
def test_what_makes_no_organization(client: FlaskClient, body: dict[str, Any], wrong: str) -> None:
    assert list(refused(client.post(ALL, json=body), 422, "VALIDATION_ERROR")["errors"]) == [wrong]
    assert client.get(ALL).json["pagination"]["total"] == 1


@pytest.mark.parametrize("role", ROLES)
def test_every_member_reads_it_and_sees_their_own_role(client_of: ClientOf, role: Any) -> None:
    owner = make_account()
    member = make_account(role=role, organization_id=owner.actor.organization_id)
    assert client_of(member).get(address(owner)).json["role"] == role


@pytest.mark.parametrize("role", ROLES)
def test_admins_rename_it(client_of: ClientOf, told: list[Event], role: Any) -> None:
    client = client_of(member := make_account(role=role))
    told.clear()
    answer = client.patch(address(member), json={"name": "Renamed", "timezone": "Asia/Kolkata"})
    if role in ("viewer", "operator"):
        refused(answer, 403, "INSUFFICIENT_ROLE")
        assert told == []
        return
    assert (answer.json["name"], answer.json["timezone"], answer.json["role"]) == ("Renamed", "Asia/Kolkata", role)
    assert client.get(address(member)).json == answer.json
    [event] = told
    assert event.name == "organization.updated"
    assert event.data["changes"] == {"name": "Renamed", "timezone": "Asia/Kolkata"}


@pytest.mark.actor()
def test_an_empty_change_is_none(client: FlaskClient, account: Account, told: list[Event]) -> None:
    before = client.get(address(account))
    assert client.patch(address(account), json={}).json == before.json
    assert told == []
    assert client.get(address(account)).headers["ETag"] == before.headers["ETag"]


@pytest.mark.actor()
def test_a_change_is_refused_to_whoever_saw_an_older_one(client: FlaskClient, account: Account) -> None:
    seen = client.get(address(account)).headers["ETag"]
    assert client.patch(address(account), json={"name": "One"}, headers={"If-Match": seen}).status_code == 200
    for body in ({"name": "Two"}, {}):
        refused(client.patch(address(account), json=body, headers={"If-Match": seen}), 412)
    refused(client.delete(address(account), headers={"If-Match": '"x"'}), 412)
    assert client.get(address(account)).json["name"] == "One"


@pytest.mark.actor()
def test_what_the_client_has_already_is_not_sent_again(client: FlaskClient, account: Account) -> None:
    for path in (ALL, address(account)):
        first = client.get(path)
        same = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (same.status_code, same.data, same.headers["X-Cache"]) == (304, b"", "BYPASS")


def test_a_change_is_answered_with_the_etag_that_the_next_may_name(client_of: ClientOf) -> None:
    owner = make_account()
    client = client_of(owner)
    changed = client.patch(address(owner), json={"name": "Engines"})
    assert changed.headers["ETag"] == client.get(address(owner)).headers["ETag"]
    following = {"If-Match": changed.headers["ETag"]}
    assert client.patch(address(owner), json={"name": "Pumps"}, headers=following).status_code == 200


def test_it_is_no_older_than_ones_own_role_there(client_of: ClientOf, clock: Any) -> None:
    owner = make_account()
    member = make_account(role="viewer", organization_id=owner.actor.organization_id)
    seen = client_of(member).get(address(owner)).headers["Last-Modified"]
    clock(60)
    members.change_role(owner.actor, member.actor.user_id, "operator")
    again = client_of(log_in(member.email)).get(address(owner), headers={"If-Modified-Since": seen})
    assert (again.status_code, again.json["role"]) == (200, "operator")
    same = client_of(owner).get(address(owner), headers={"If-Modified-Since": seen})
    assert same.status_code == 304


def test_a_role_counts_in_its_own_organization_only(client_of: ClientOf) -> None:
    """Whatever is active: who owns one and views another may change the one and not the other."""
    ada, other = make_account(), make_account()
    join(ada, other.actor.organization_id, role="viewer")
    client = client_of(ada)
    assert client.get(address(other)).json["role"] == "viewer"
    refused(client.patch(address(other), json={"name": "Mine"}), 403, "INSUFFICIENT_ROLE")
    refused(client.get(address(other, "members")), 403, "INSUFFICIENT_ROLE")
    refused(client.delete(address(other)), 403, "INSUFFICIENT_ROLE")
    assert client.patch(address(ada), json={"name": "Mine"}).status_code == 200


@pytest.mark.parametrize("role", ROLES)
def test_what_one_may_do_follows_from_ones_role(client_of: ClientOf, role: Any) -> None:
    member = make_account(role=role)
    found = client_of(member).get(address(member, "permissions")).json
    assert found["role"] == role
    allowed = {name for name, may in found["permissions"].items() if may}
    assert len(found["permissions"]) == len(PERMISSIONS)
    added = {
        "viewer": {"readDevices", "manageOwnApiKeys", "makeExports"},
        "operator": {"registerDevices", "changeOwnDevices"},
        "admin": {"changeAnyDevice", "manageMembers", "manageInvitations", "changeSettings", "readAuditTrail"},
        "owner": {"changeOwners", "deleteOrganization"},
    }
    assert allowed == set.union(*(added[one] for one in ROLES[: ROLES.index(role) + 1]))


# What a route that takes more than a viewer is for: the first that fits, by method and the beginning of its address.
MEANT_FOR = (
    ("PATCH DELETE", "/api/devices/bulk", "change_any_device"),
    ("GET", "/api/devices/<id:device_id>/keys", "register_devices"),
    ("POST PUT PATCH DELETE", "/api/devices", "register_devices"),
    ("POST", "/api/logs/import", "register_devices"),
    ("PATCH", "/api/notifications/rules/<id:device_id>", "register_devices"),
    ("PATCH", "/api/notifications/rules", "change_settings"),
    ("GET POST PATCH DELETE", "/api/webhooks", "change_settings"),
    ("GET PATCH DELETE", "/api/organizations/<id:organization_id>/members", "manage_members"),
    ("GET POST DELETE", "/api/organizations/<id:organization_id>/invitations", "manage_invitations"),
    ("GET", "/api/organizations/<id:organization_id>/audit", "read_audit_trail"),
    ("PATCH", "/api/organizations/<id:organization_id>", "change_settings"),
    ("DELETE", "/api/organizations/<id:organization_id>", "delete_organization"),
)


def test_the_guards_of_the_routes_say_the_same(app: Flask) -> None:
    judged = set()
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            guard = guard_of(app.view_functions[rule.endpoint], method)
            if guard is None or guard.role in (None, "viewer") or guard.platform_admin:
                continue
            meant = [
                p for methods, begin, p in MEANT_FOR if method in methods.split() and rule.rule.startswith(begin)
            ]
            assert meant, f"{method} {rule.rule} takes the role {guard.role}: for what?"
            assert guard.role == PERMISSIONS[meant[0]], (method, rule.rule)
            judged.add(meant[0])
    assert {"register_devices", "manage_members", "change_settings", "delete_organization"} <= judged

"""Deleting an organization: who may, what ends at once, what follows, and what the receipt says of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import redis
from devicehub.core.actor import ROLES, Actor, Role
from devicehub.core.events import Event
from devicehub.core.paging import Page
from devicehub.devices import jobs as device_jobs
from devicehub.devices import purges
from devicehub.devices import service as devices
from devicehub.devices.models import Device
from devicehub.jobs.registry import registered
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import OrganizationNotFound
from devicehub.organizations.models import Deletion, Organization
from devicehub.organizations.schemas import DeletionSchema
from devicehub.reactions import ON
from tests.factories import (
    Account,
    bearing,
    invite,
    join,
    let_redis_remember,
    make_account,
    make_api_key,
    make_device,
    make_device_key,
)
from tests.jobs.inline import run_due_jobs
from tests.web.refusals import refused

ClientOf = Callable[[Account], FlaskClient]


class Again:
    """What a job is given by whoever does it by hand, once more."""

    job_id, actor, attempt = "job", None, 1

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments

    def progress(self, step: str, done: int, total: int | None = None) -> None:
        pass

    def check(self) -> None:
        pass


@pytest.fixture
def spare(account: Account) -> Account:
    """Another organization of the caller's, with two devices; the caller as they are there."""
    made = organizations.create_own(account.actor, {"name": "Spare"})
    there = organizations.require(account.actor, str(made.id))
    for _ in range(2):
        make_device(there)
    return Account(account.email, there, account.access_token, account.refresh_token)


def die(*_: Any, **__: Any) -> Any:
    """What a process that is killed here does."""
    raise KeyboardInterrupt


def at(account: Account) -> str:
    return f"/api/organizations/{account.actor.organization_id}"


def is_there(account: Account) -> bool:
    return Organization.objects(id=ObjectId(account.actor.organization_id)).count() == 1


def devices_of(account: Account) -> int:
    return int(Device.objects.visible_to(account.actor).count())


@pytest.mark.actor()
def test_its_owner_deletes_it_and_is_given_a_receipt(
    client: FlaskClient, account: Account, spare: Account, told: list[Event]
) -> None:
    answer = client.delete(at(spare))
    receipt = answer.json
    assert (answer.status_code, receipt["status"], receipt["completedAt"]) == (202, "pending", None)
    assert (receipt["organizationId"], receipt["name"]) == (spare.actor.organization_id, "Spare")
    assert answer.headers["Location"] == f"/api/organizations/deletions/{receipt['receiptId']}"
    assert client.get(answer.headers["Location"]).json == receipt
    refused(client.get(at(spare)), 404, "ORGANIZATION_NOT_FOUND")
    refused(client.delete(at(spare)), 404, "ORGANIZATION_NOT_FOUND")
    [deleted, removed] = told
    assert (removed.name, removed.data["user_id"]) == ("member.removed", account.actor.user_id)
    assert (deleted.name, deleted.data) == (
        "organization.deleted",
        {"organization_id": spare.actor.organization_id, "receipt_id": receipt["receiptId"]},
    )


@pytest.mark.actor()
def test_what_belongs_to_it_goes_in_the_background_and_is_counted_once(
    client: FlaskClient, account: Account, spare: Account, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purges, "BATCH", 2)
    make_device(account.actor)
    make_api_key(spare.actor)
    beat, path = client.post, f"/api/devices/{make_device(spare.actor)['id']}"
    made = [make_device_key(spare.actor, path.rpartition("/")[2]) for _ in range(3)]
    assert all(beat(f"{path}/heartbeat", headers=bearing(key)).status_code == 200 for key in made)
    told.clear()
    where = client.delete(at(spare)).headers["Location"]
    [event] = [event for event in told if event.name == "organization.deleted"]
    assert devices_of(spare) == 3
    run_due_jobs()
    receipt = client.get(where).json
    assert receipt["status"] == "completed" and receipt["completedAt"] > receipt["createdAt"]
    of_devices = {"devices": 3, "deviceKeys": 3, "presenceChanges": 1}
    assert receipt["counts"] == {"organizations": 1, "apiKeys": 1} | of_devices
    assert DeletionSchema().validate(receipt) == {}
    assert (devices_of(spare), devices_of(account)) == (0, 1)
    assert not is_there(spare) and is_there(account)
    for key in made:
        refused(beat(f"{path}/heartbeat", headers=bearing(key)), 401, "INVALID_TOKEN")
    for name in ON["organization.deleted"]:  # a job may be done twice
        registered(name).work(Again(**event.data))
    assert client.get(where).json == receipt


@pytest.mark.actor()
def test_a_purge_that_broke_off_goes_on(spare: Account, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purges, "BATCH", 1)
    receipt_id = deletions.delete(spare.actor)["receipt_id"]
    arguments = {"organization_id": spare.actor.organization_id, "receipt_id": receipt_id}

    class Lost(Again):
        def progress(self, step: str, done: int, total: int | None = None) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device_jobs.purge_organization(Lost(**arguments))
    assert devices_of(spare) == 1
    assert deletions.get(account.actor, receipt_id)["status"] == "pending"
    device_jobs.purge_organization(Again(**arguments))
    receipt = deletions.get(account.actor, receipt_id)
    assert receipt["counts"] == {"devices": 2}
    assert (receipt["status"], receipt["completed_at"]) == ("pending", None)  # the other part still waits


def test_every_part_that_a_receipt_waits_for_has_its_job() -> None:
    """Or no deletion would ever be completed."""
    assert [name.partition(".")[0] for name in ON["organization.deleted"]] == list(deletions.PARTS)


@pytest.mark.parametrize("role", ROLES)
def test_only_owners_may(client_of: ClientOf, role: Role) -> None:
    owner = make_account()
    member = make_account(role=role, organization_id=owner.actor.organization_id)
    join(member, make_account().actor.organization_id, role="viewer")
    answer = client_of(member).delete(at(owner))
    if role == "owner":
        assert answer.status_code == 202
    else:
        refused(answer, 403, "INSUFFICIENT_ROLE")
        assert is_there(owner) and Deletion.objects.count() == 0


@pytest.mark.actor()
def test_the_last_one_that_one_belongs_to_stays(client: FlaskClient, account: Account) -> None:
    refused(client.delete(at(account)), 409, "INVALID_STATE")
    assert client.get(at(account)).status_code == 200
    assert Deletion.objects.count() == 0


@pytest.mark.actor()
def test_whoever_saw_an_older_one_deletes_nothing(client: FlaskClient, account: Account, spare: Account) -> None:
    seen = client.get(at(spare)).headers["ETag"]
    client.patch(at(spare), json={"name": "Renamed"})
    refused(client.delete(at(spare), headers={"If-Match": seen}), 412, "PRECONDITION_FAILED")
    assert Deletion.objects.count() == 0
    fresh = client.get(at(spare)).headers["ETag"]
    assert client.delete(at(spare), headers={"If-Match": fresh}).status_code == 202


def test_its_members_are_out_at_once_and_whoever_did_it_goes_on(client_of: ClientOf, told: list[Event]) -> None:
    owner, home = make_account(), make_account()
    join(owner, home.actor.organization_id, role="viewer")
    made = organizations.create_own(owner.actor, {"name": "Engines"})
    member = make_account(role="admin", organization_id=str(made.id))
    token = invite(organizations.require(owner.actor, str(made.id)), "grace@example.com")
    let_redis_remember(member)
    told.clear()
    assert client_of(owner).delete(f"/api/organizations/{made.id}").status_code == 202
    refused(client_of(member).get("/api/devices"), 401, "TOKEN_STALE")
    assert client_of(owner).get("/api/devices").status_code == 200
    assert {event.data["user_id"] for event in told if event.name == "member.removed"} == {
        owner.actor.user_id, member.actor.user_id
    }  # fmt: skip
    body = {"name": "Grace", "email": "grace@example.com", "password": "correct horse battery"}
    refused(client_of(owner).post("/api/auth/signup", json=body | {"invitationToken": token}), 404)


def test_a_session_whose_organization_is_deleted_goes_on_in_another(client_of: ClientOf) -> None:
    owner, other = make_account(), make_account()
    join(owner, other.actor.organization_id, role="operator")
    client = client_of(owner)
    let_redis_remember(owner)
    assert client.delete(at(owner)).status_code == 202
    refused(client.get("/api/devices"), 401, "TOKEN_STALE")
    body = {"refreshToken": owner.refresh_token}
    renewed = client.post("/api/auth/refresh", json=body, headers={"User-Agent": "tests"}).json
    assert renewed["organization"]["id"] == other.actor.organization_id


@pytest.mark.actor()
def test_nobody_else_reads_the_receipt(client: FlaskClient, account: Account, spare: Account) -> None:
    receipt_id = deletions.delete(spare.actor)["receipt_id"]
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_account().access_token}"
    for named in (receipt_id, "65f0a1b2c3d4e5f6a7b8c9d2", "x"):
        refused(client.get(f"/api/organizations/deletions/{named}"), 404, "DELETION_NOT_FOUND")


@pytest.mark.actor()
def test_deleted_by_two_at_once_it_is_deleted_once(spare: Account, told: list[Event]) -> None:
    other = make_account(role="owner", organization_id=spare.actor.organization_id)
    join(other, make_account().actor.organization_id, role="viewer")
    told.clear()

    def delete(actor: Actor) -> bool:
        try:
            return bool(deletions.delete(actor))
        except OrganizationNotFound:
            return False

    with ThreadPoolExecutor(2) as callers:
        assert sorted(callers.map(delete, [spare.actor, other.actor])) == [False, True]
    assert Deletion.objects.count() == 1
    assert [event.name for event in told].count("organization.deleted") == 1


@pytest.mark.actor()
def test_whoever_dies_before_telling_of_it_is_taken_over_from(
    spare: Account, account: Account, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(deletions, "_tell", die)
        with pytest.raises(KeyboardInterrupt):
            deletions.delete(spare.actor)
    receipt_id = str(Deletion.objects.get().id)
    run_due_jobs()
    assert deletions.get(account.actor, receipt_id)["status"] == "pending"
    clock(61)
    run_due_jobs()
    assert deletions.get(account.actor, receipt_id)["status"] == "completed"
    assert devices_of(spare) == 0


@pytest.mark.actor()
def test_what_is_done_is_not_told_again(spare: Account, clock: Any, told: list[Event]) -> None:
    deletions.delete(spare.actor)
    run_due_jobs()
    told.clear()
    clock(61)
    [looked] = run_due_jobs("organizations.look_after_deletion")
    assert looked.status == "completed" and told == []


@pytest.mark.actor()
def test_a_deletion_that_did_not_come_about_is_forgotten(
    spare: Account, clock: Any, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(deletions, "_mark", die)
        with pytest.raises(KeyboardInterrupt):
            deletions.delete(spare.actor)
    told.clear()
    clock(61)
    run_due_jobs()
    assert Deletion.objects.count() == 0 and is_there(spare) and told == []


@pytest.mark.actor()
def test_an_organization_that_nobody_deleted_is_not_purged(account: Account) -> None:
    deletions.purge(account.actor.organization_id, "65f0a1b2c3d4e5f6a7b8c9d2")
    assert is_there(account)


@pytest.mark.actor()
def test_the_devices_of_a_deleted_organization_leave_nothing_in_redis(spare: Account) -> None:
    devices.find(spare.actor, {"sort": "-createdAt"}, Page())
    key = f"live:{spare.actor.organization_id}"
    assert redis.current().client.exists(key)
    assert sum(purges.of_organization(spare.actor.organization_id)) == 2
    assert not redis.current().client.exists(key)

"""Members: who may change whom, what that does to their tokens, and that an owner always remains."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import httpx
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import clock, redis
from devicehub.core.actor import ROLES, Actor, Role
from devicehub.core.errors import DeviceHubError
from devicehub.core.events import Event
from devicehub.organizations import members
from devicehub.organizations import service as organizations
from devicehub.organizations.models import Member, Organization
from devicehub.organizations.schemas import MemberSchema
from devicehub.users.models import User
from tests.conftest import LiveServer
from tests.factories import Account, join, let_redis_remember, log_in, make_account
from tests.web.refusals import refused

ClientOf = Callable[[Account], FlaskClient]
BELOW_OWNER: tuple[Role, ...] = ("viewer", "operator", "admin")


def at(account: Account, *further: str) -> str:
    """The members of the account's active organization, or one of them."""
    return "/".join(["/api/organizations", account.actor.organization_id, "members", *further])


def member_of(owner: Account, role: Role) -> Account:
    return make_account(role=role, organization_id=owner.actor.organization_id)


def people(number: int) -> list[User]:
    """People who have never signed in: they are needed by the hundred."""
    moment = clock.now()
    made = [
        User(
            name="Ada", email=f"{ObjectId()}@example.com", password_hash="-", created_at=moment, updated_at=moment
        )
        for _ in range(number)
    ]
    User.objects.insert(made)
    return made


def let_in(organization_id: str, users: list[User], role: Role) -> None:
    members = [Member(user_id=user.id, role=role, joined_at=clock.now()) for user in users]
    Organization.objects(id=ObjectId(organization_id)).update_one(push_all__members=members)


def owners(number: int) -> list[Actor]:
    """Owners of one organization, who have never signed in."""
    first, *others = people(number)
    made = organizations.create(owner_id=first.id, name="Engines")
    let_in(str(made.id), others, "owner")
    return [Actor(str(user.id), str(made.id), "owner") for user in (first, *others)]


def somebody(organization_id: str, role: Role) -> str:
    """The id of a member who has never signed in."""
    [user] = people(1)
    let_in(organization_id, [user], role)
    return str(user.id)


def roles_in(organization_id: str) -> dict[str, str]:
    [organization] = Organization.objects(id=ObjectId(organization_id))
    return {str(member.user_id): member.role for member in organization.members}


def owners_of(organization_id: str) -> int:
    return Counter(roles_in(organization_id).values())["owner"]


def refresh(client: FlaskClient, account: Account) -> Any:
    body = {"refreshToken": account.refresh_token}
    return client.post("/api/auth/refresh", json=body, headers={"User-Agent": "tests"})


def test_a_stranger_is_turned_away(client: FlaskClient) -> None:
    owner = make_account()
    one = at(owner, owner.actor.user_id)
    for method, path in (("GET", at(owner)), ("PATCH", one), ("DELETE", one)):
        refused(client.open(path, method=method), 401, "AUTHENTICATION_REQUIRED")


def test_to_another_organization_there_are_none(client_of: ClientOf) -> None:
    owner, stranger = make_account(), make_account()
    victim = member_of(owner, "viewer").actor.user_id
    client = client_of(stranger)
    refused(client.get(at(owner)), 404, "ORGANIZATION_NOT_FOUND")
    refused(client.patch(at(owner, victim), json={"role": "admin"}), 404, "ORGANIZATION_NOT_FOUND")
    refused(client.delete(at(owner, victim)), 404, "ORGANIZATION_NOT_FOUND")
    refused(client.patch(at(stranger, victim), json={"role": "admin"}), 404, "MEMBER_NOT_FOUND")
    refused(client.delete(at(stranger, victim)), 404, "MEMBER_NOT_FOUND")
    assert roles_in(owner.actor.organization_id)[victim] == "viewer"


@pytest.mark.parametrize("role", ROLES)
def test_admins_see_who_belongs_in_the_order_they_joined(client_of: ClientOf, role: Role) -> None:
    owner = make_account()
    others = [member_of(owner, one) for one in ("viewer", "operator")]
    client = client_of(asking := member_of(owner, role))
    answer = client.get(at(owner))
    if role in ("viewer", "operator"):
        refused(answer, 403, "INSUFFICIENT_ROLE")
        return
    items = answer.json["items"]
    assert [item["userId"] for item in items] == [one.actor.user_id for one in (owner, *others, asking)]
    assert [(item["email"], item["role"]) for item in items[1:3]] == [
        (others[0].email, "viewer"), (others[1].email, "operator")
    ]  # fmt: skip
    assert all(MemberSchema().validate(item) == {} for item in items)
    second = client.get(f"{at(owner)}?limit=1&page=2").json
    assert second["items"] == items[1:2] and second["pagination"]["total"] == 4


@pytest.mark.parametrize("new", ROLES)
@pytest.mark.parametrize("present", ROLES)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_make_whom_what(client_of: ClientOf, role: Role, present: Role, new: Role) -> None:
    [owner] = owners(1)
    caller = make_account(role=role, organization_id=owner.organization_id)
    other = somebody(owner.organization_id, present)
    answer = client_of(caller).patch(at(caller, other), json={"role": new})
    may = role == "owner" or (role == "admin" and "owner" not in (present, new))
    if may:
        assert (answer.status_code, answer.json["role"]) == (200, new)
    else:
        refused(answer, 403, "INSUFFICIENT_ROLE")
    assert roles_in(owner.organization_id)[other] == (new if may else present)


@pytest.mark.parametrize("present", ROLES)
@pytest.mark.parametrize("role", ROLES)
def test_who_may_remove_whom(client_of: ClientOf, role: Role, present: Role) -> None:
    [owner] = owners(1)
    caller = make_account(role=role, organization_id=owner.organization_id)
    other = somebody(owner.organization_id, present)
    answer = client_of(caller).delete(at(caller, other))
    may = role == "owner" or (role == "admin" and present != "owner")
    if may:
        assert (answer.status_code, answer.data) == (204, b"")
        refused(client_of(caller).delete(at(caller, other)), 404, "MEMBER_NOT_FOUND")
    else:
        refused(answer, 403, "INSUFFICIENT_ROLE")
    assert (other in roles_in(owner.organization_id)) is not may


@pytest.mark.parametrize("role", ROLES)
def test_everybody_may_leave(client_of: ClientOf, role: Role) -> None:
    owner = make_account()
    leaving = member_of(owner, role)
    assert client_of(leaving).delete(at(owner, leaving.actor.user_id.upper())).status_code == 204
    assert list(roles_in(owner.actor.organization_id)) == [owner.actor.user_id]


@pytest.mark.actor()
def test_the_last_owner_can_neither_leave_nor_be_less(
    client: FlaskClient, account: Account, told: list[Event]
) -> None:
    member_of(account, "admin")
    told.clear()
    own = at(account, account.actor.user_id)
    refused(client.delete(own), 409, "INVALID_STATE")
    for role in BELOW_OWNER:
        refused(client.patch(own, json={"role": role}), 409, "INVALID_STATE")
    assert roles_in(account.actor.organization_id)[account.actor.user_id] == "owner"
    assert client.patch(own, json={"role": "owner"}).status_code == 200  # which changes nothing
    assert told == []
    assert client.get(at(account)).status_code == 200


@pytest.mark.actor()
@pytest.mark.parametrize("body", [{}, {"role": "king"}, {"role": None}, {"role": "admin", "name": "x"}])
def test_what_is_no_role_is_refused(client: FlaskClient, account: Account, body: dict[str, Any]) -> None:
    refused(client.patch(at(account, account.actor.user_id), json=body), 422, "VALIDATION_ERROR")


@pytest.mark.actor()
def test_a_removed_member_is_out_at_once_and_told_so(
    client: FlaskClient, account: Account, client_of: ClientOf, told: list[Event]
) -> None:
    removed = member_of(account, "operator")
    theirs = client_of(removed)
    let_redis_remember(removed)
    told.clear()
    assert client.delete(at(account, removed.actor.user_id)).status_code == 204
    refused(theirs.get("/api/devices"), 401, "TOKEN_STALE")
    [event] = told
    assert (event.name, event.actor.user_id) == ("member.removed", account.actor.user_id)
    assert event.data == {
        "user_id": removed.actor.user_id,
        "organization_id": account.actor.organization_id,
        "role": "operator",
    }


def test_who_belongs_to_none_any_more_cannot_go_on_but_is_given_a_home_when_they_sign_in(
    client: FlaskClient, client_of: ClientOf
) -> None:
    owner = make_account()
    removed = member_of(owner, "viewer")
    assert client_of(owner).delete(at(owner, removed.actor.user_id)).status_code == 204
    refused(refresh(client, removed), 403, "NOT_A_MEMBER")
    redis.current().client.delete(f"user:{removed.actor.user_id}")  # a minute later
    refused(client_of(removed).get("/api/devices"), 401, "TOKEN_STALE")  # now Redis remembers that they have none
    for _ in range(2):
        again = log_in(removed.email)
        [home] = client_of(again).get("/api/organizations").json["items"]
        assert (home["id"], home["role"], home["personal"]) == (again.actor.organization_id, "owner", True)
    assert client_of(again).get("/api/devices").json["pagination"]["total"] == 0


def test_sign_ins_at_once_make_one_home(client_of: ClientOf) -> None:
    owner = make_account()
    removed = member_of(owner, "viewer")
    members.remove(owner.actor, removed.actor.user_id)
    with ThreadPoolExecutor(8) as callers:
        homes = {account.actor.organization_id for account in callers.map(log_in, [removed.email] * 8)}
    assert len(homes) == 1
    assert list(organizations.memberships(removed.actor.user_id)) == [*homes]


def test_a_session_whose_organization_is_gone_goes_on_in_another(client: FlaskClient, client_of: ClientOf) -> None:
    owner = make_account()
    removed = member_of(owner, "viewer")
    home = make_account()
    join(removed, home.actor.organization_id, role="operator")
    assert client_of(owner).delete(at(owner, removed.actor.user_id)).status_code == 204
    refused(client_of(removed).get("/api/devices"), 401, "TOKEN_STALE")
    renewed = refresh(client, removed).json
    assert (renewed["organization"]["id"], renewed["organization"]["role"]) == (
        home.actor.organization_id, "operator"
    )  # fmt: skip
    fresh = {"Authorization": f"Bearer {renewed['accessToken']}"}
    assert client.get("/api/devices", headers=fresh).status_code == 200


@pytest.mark.actor()
def test_a_new_role_makes_the_token_stale_and_a_refresh_goes_on_with_it(
    client: FlaskClient, account: Account, client_of: ClientOf, told: list[Event]
) -> None:
    member = member_of(account, "viewer")
    let_redis_remember(member)
    told.clear()
    answer = client.patch(at(account, member.actor.user_id), json={"role": "operator"})
    assert (answer.json["userId"], answer.json["role"]) == (member.actor.user_id, "operator")
    refused(client_of(member).get("/api/devices"), 401, "TOKEN_STALE")
    fresh = {"Authorization": f"Bearer {refresh(client, member).json['accessToken']}"}
    assert client.post("/api/devices", json={"name": "Pump", "type": "pump"}, headers=fresh).status_code == 201
    assert [event.name for event in told][:1] == ["member.role_changed"]
    assert told[0].data == {
        "user_id": member.actor.user_id,
        "organization_id": account.actor.organization_id,
        "role": "operator",
    }
    assert client.get(at(account)).status_code == 200  # whoever did it goes on


@pytest.mark.actor()
def test_a_role_that_stays_outdates_nothing(
    client: FlaskClient, account: Account, client_of: ClientOf, told: list[Event]
) -> None:
    member = member_of(account, "viewer")
    told.clear()
    assert client.patch(at(account, member.actor.user_id), json={"role": "viewer"}).status_code == 200
    assert client_of(member).get("/api/devices").status_code == 200
    assert told == []


@pytest.mark.usefixtures("app")
def test_a_removed_member_is_out_at_once_in_every_process(live_server: LiveServer) -> None:
    owner = make_account()
    removed = member_of(owner, "admin")
    with httpx.Client(base_url=live_server.url) as http:
        let_redis_remember(removed)
        assert http.get("/api/devices", headers=removed.headers).status_code == 200
        members.remove(owner.actor, removed.actor.user_id)  # in this process
        refused(http.get("/api/devices", headers=removed.headers), 401, "TOKEN_STALE")


def tried(act: Callable[..., Any], *arguments: Any) -> str:
    """Whether it was done, or why not."""
    try:
        act(*arguments)
    except DeviceHubError as error:
        return error.code
    return "done"


def at_once(*acts: Callable[[], str]) -> list[str]:
    """What came of acts that begin in the same moment."""
    ready = Barrier(len(acts))

    def begin(act: Callable[[], str]) -> str:
        ready.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as callers:
        return list(callers.map(begin, acts))


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    "act", [partial(members.change_role, role="viewer"), members.remove], ids=["change_role", "remove"]
)
def test_who_was_demoted_after_being_let_in_changes_nothing(act: Callable[..., Any]) -> None:
    late, other, _ = owners(3)
    theirs = Organization.objects(id=ObjectId(late.organization_id), members__user_id=ObjectId(late.user_id))
    theirs.update_one(set__members__S__role="viewer")
    before = roles_in(late.organization_id)
    assert tried(act, late, other.user_id) == "INSUFFICIENT_ROLE"
    assert roles_in(late.organization_id) == before


@pytest.mark.usefixtures("app")
def test_of_two_owners_who_demote_each_other_at_once_one_remains() -> None:
    for _ in range(25):
        one, other = owners(2)
        came_of = at_once(
            partial(tried, members.change_role, one, other.user_id, "admin"),
            partial(tried, members.change_role, other, one.user_id, "admin"),
        )
        assert owners_of(one.organization_id) == 1
        assert sorted(came_of) == ["INSUFFICIENT_ROLE", "done"]


@pytest.mark.usefixtures("app")
def test_of_two_owners_who_leave_at_once_one_cannot() -> None:
    for _ in range(15):
        one, other = owners(2)
        came_of = at_once(*(partial(tried, members.remove, actor, actor.user_id) for actor in (one, other)))
        assert owners_of(one.organization_id) == 1
        assert sorted(came_of) == ["INVALID_STATE", "done"]


@pytest.mark.usefixtures("app")
def test_whatever_owners_do_to_each_other_at_once_one_remains() -> None:
    chance, came_of = random.Random(7), Counter[str]()
    for _ in range(40):
        actors = owners(3)
        acts = []
        for actor in actors:
            member = chance.choice(actors).user_id
            to = chance.choice(BELOW_OWNER)
            removes = partial(tried, members.remove, actor, member)
            acts.append(chance.choice([removes, partial(tried, members.change_role, actor, member, to)]))
        came_of.update(at_once(*acts))
        assert owners_of(actors[0].organization_id) >= 1
    assert set(came_of) <= {
        "done", "INVALID_STATE", "INSUFFICIENT_ROLE", "MEMBER_NOT_FOUND", "ORGANIZATION_NOT_FOUND"
    }  # fmt: skip
    assert came_of["done"] >= 40 and came_of.total() == 120

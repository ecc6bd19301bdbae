"""Invitations: for whom, by whom, how long, how often; and joining with one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core.actor import ROLES, Role, at_least
from devicehub.core.errors import DeviceHubError
from devicehub.core.events import Event
from devicehub.core.paging import Page
from devicehub.mail.models import Mail
from devicehub.organizations import invitations
from devicehub.organizations.errors import AlreadyMember, InvitationNotFound
from devicehub.organizations.models import Organization
from devicehub.organizations.schemas import InvitationSchema
from devicehub.users.models import User
from tests.factories import PASSWORD, Account, go_on_in, invite, join, let_redis_remember, log_in, make_account
from tests.web.refusals import refused

ACCEPT = "/api/invitations/accept"
ALL = Page(limit=100)
DAY = 86_400
ClientOf = Callable[[Account], FlaskClient]


def at(account: Account, *further: str) -> str:
    """The invitations to the account's active organization, or one of them."""
    return "/".join(["/api/organizations", account.actor.organization_id, "invitations", *further])


def roles_in(account: Account) -> dict[str, str]:
    [organization] = Organization.objects(id=ObjectId(account.actor.organization_id))
    return {str(member.user_id): member.role for member in organization.members}


def stored(account: Account) -> str:
    """All that is stored of the organization."""
    return str(Organization.objects(id=ObjectId(account.actor.organization_id)).as_pymongo().first())


def test_a_stranger_is_turned_away(client: FlaskClient) -> None:
    owner = make_account()
    asked = (("GET", at(owner)), ("POST", at(owner)), ("DELETE", at(owner, owner.actor.user_id)), ("POST", ACCEPT))
    for method, path in asked:
        refused(client.open(path, method=method), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_to_another_organization_there_are_none(client: FlaskClient, account: Account) -> None:
    other = make_account()
    theirs = invitations.create(other.actor, email="grace@example.com", role="viewer")["id"]
    body = {"email": "mary@example.com", "role": "viewer"}
    refused(client.get(at(other)), 404, "ORGANIZATION_NOT_FOUND")
    refused(client.post(at(other), json=body), 404, "ORGANIZATION_NOT_FOUND")
    refused(client.delete(at(other, theirs)), 404, "ORGANIZATION_NOT_FOUND")
    refused(client.delete(at(account, theirs)), 404, "INVITATION_NOT_FOUND")
    assert invitations.find(other.actor, ALL)[1] == 1


@pytest.mark.parametrize("wanted", ROLES)
@pytest.mark.parametrize("role", ROLES)
def test_admins_invite_to_roles_up_to_their_own(client_of: ClientOf, role: Role, wanted: Role) -> None:
    client = client_of(member := make_account(role=role))
    answer = client.post(at(member), json={"email": "grace@example.com", "role": wanted})
    if at_least(role, "admin") and at_least(role, wanted):
        assert (answer.status_code, answer.json["role"]) == (201, wanted)
        assert client.get(at(member)).json["items"] == [answer.json]
    else:
        refused(answer, 403, "INSUFFICIENT_ROLE")
        assert Mail.objects.count() == 0


@pytest.mark.actor()
def test_it_is_mailed_and_the_token_is_nowhere_else(
    client: FlaskClient, account: Account, told: list[Event]
) -> None:
    answer = client.post(at(account), json={"email": "Grace@Example.com", "role": "operator"})
    made = answer.json
    assert InvitationSchema().validate(made) == {}
    assert (made["email"], made["invitedBy"]) == ("grace@example.com", account.actor.user_id)
    [mail] = Mail.objects(kind="invitation")
    assert (mail.to, mail.key) == ("grace@example.com", f"invitation:{made['id']}")
    token = mail.data.pop("token")
    assert mail.data == {
        "organizationName": "Ada Lovelace's devices",
        "inviterName": "Ada Lovelace",
        "role": "operator",
        "expiresAt": made["expiresAt"],
    }
    assert token.startswith("dhi_") and len(token) >= 47
    for seen in (answer.text, client.get(at(account)).text, stored(account), str(told)):
        assert token not in seen
    names = {"organization_name": "Ada Lovelace's devices", "inviter_name": "Ada Lovelace"}
    facts = {"invitation_id": made["id"], "role": "operator", "guest_id": None, **names}
    assert [(event.name, event.data) for event in told] == [("invitation.created", facts)]


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"role": "viewer"}, "email"),
        ({"email": "grace@example.com"}, "role"),
        ({"email": "grace", "role": "viewer"}, "email"),
        ({"email": "grace@example.com\r\nBcc: x@example.com", "role": "viewer"}, "email"),
        ({"email": "x" * 250 + "@example.com", "role": "viewer"}, "email"),
        ({"email": "grace@example.com", "role": "king"}, "role"),
        ({"email": "grace@example.com", "role": "viewer", "token": "mine"}, "token"),
    ],
)
def test_what_is_no_invitation(client: FlaskClient, account: Account, body: dict[str, Any], wrong: str) -> None:
    assert list(refused(client.post(at(account), json=body), 422, "VALIDATION_ERROR")["errors"]) == [wrong]


@pytest.mark.actor()
def test_an_address_that_looks_like_an_expression_is_taken_literally(
    client: FlaskClient, account: Account
) -> None:
    for email in ("$members@example.com", "$$root@example.com"):
        assert client.post(at(account), json={"email": email, "role": "viewer"}).json["email"] == email
    assert client.get(at(account)).json["pagination"]["total"] == 2


@pytest.mark.actor()
def test_whoever_is_a_member_already_is_not_invited(client: FlaskClient, account: Account) -> None:
    for email in (account.email, account.email.upper()):
        refused(client.post(at(account), json={"email": email, "role": "viewer"}), 409, "DUPLICATE_ENTRY")
    elsewhere = make_account()
    assert client.post(at(account), json={"email": elsewhere.email, "role": "viewer"}).status_code == 201


@pytest.mark.actor()
def test_the_guest_joins_with_a_token_they_had_already_and_once(
    client_of: ClientOf, account: Account, told: list[Event]
) -> None:
    guest = make_account(name="Grace")
    token = invite(account.actor, guest.email.upper(), role="operator")
    client = client_of(guest)
    let_redis_remember(guest)
    told.clear()
    joined = client.post(ACCEPT, json={"token": token})
    assert (joined.status_code, joined.json["id"]) == (200, account.actor.organization_id)
    assert joined.json["role"] == "operator"
    assert client.get(f"/api/organizations/{account.actor.organization_id}").json == joined.json
    assert go_on_in(guest, joined.json["id"]).actor.role == "operator"
    assert [(event.name, event.actor.organization_id) for event in told] == [
        ("invitation.accepted", account.actor.organization_id), ("member.added", account.actor.organization_id)
    ]  # fmt: skip
    assert told[1].data["user_id"] == guest.actor.user_id and told[1].data["role"] == "operator"
    refused(client.post(ACCEPT, json={"token": token}), 404, "INVITATION_NOT_FOUND")
    assert invitations.find(account.actor, ALL) == ([], 0)


@pytest.mark.actor()
def test_at_once_it_is_accepted_once(account: Account, told: list[Event]) -> None:
    guest = make_account()
    token = invite(account.actor, guest.email)
    told.clear()

    def accept(_: int) -> str:
        try:
            invitations.accept(guest.actor, token)
        except DeviceHubError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(8) as callers:
        came_of = list(callers.map(accept, range(8)))
    assert came_of.count("done") == 1 and set(came_of) <= {"done", "INVITATION_NOT_FOUND", "DUPLICATE_ENTRY"}
    assert list(roles_in(account)) == [account.actor.user_id, guest.actor.user_id]
    assert [event.name for event in told].count("member.added") == 1


@pytest.mark.actor()
@pytest.mark.parametrize("meanwhile", ["revoked", "replaced", "expired", "joined otherwise"])
def test_what_has_ended_while_it_was_being_accepted_makes_no_member(
    account: Account, clock: Any, meanwhile: str
) -> None:
    guest = make_account()
    found = invitations.open_to(guest.email, invite(account.actor, guest.email))
    if meanwhile == "revoked":
        invitations.revoke(account.actor, str(found.invitation_id))
    elif meanwhile == "replaced":
        invite(account.actor, guest.email)
    elif meanwhile == "expired":
        clock(8 * DAY)
    else:
        join(guest, account.actor.organization_id, role="viewer")
    before = roles_in(account)
    there = replace(guest.actor, organization_id=found.organization_id, role=found.role)
    with pytest.raises(AlreadyMember if meanwhile == "joined otherwise" else InvitationNotFound):
        invitations.take(there, found)
    assert roles_in(account) == before


@pytest.mark.actor()
def test_to_anybody_else_it_does_not_exist(client_of: ClientOf, account: Account) -> None:
    guest, thief = make_account(), make_account()
    token = invite(account.actor, guest.email)
    answers = [client_of(thief).post(ACCEPT, json={"token": one}) for one in (token, "made up", token[:-1])]
    problems = [refused(answer, 404, "INVITATION_NOT_FOUND") | {"requestId": ""} for answer in answers]
    assert problems[0] == problems[1] == problems[2]
    assert client_of(guest).post(ACCEPT, json={"token": token}).status_code == 200


@pytest.mark.actor()
def test_it_is_good_for_seven_days(client_of: ClientOf, account: Account, clock: Any) -> None:
    early, late = make_account(), make_account()
    tokens = [invite(account.actor, guest.email) for guest in (early, late)]
    clock(7 * DAY - 60)
    early, late = log_in(early.email), log_in(late.email)
    assert client_of(early).post(ACCEPT, json={"token": tokens[0]}).status_code == 200
    clock(120)
    refused(client_of(late).post(ACCEPT, json={"token": tokens[1]}), 404, "INVITATION_NOT_FOUND")
    assert invitations.find(account.actor, ALL) == ([], 0)
    invite(account.actor, "grace@example.com")
    assert stored(account).count("token_hash") == 1  # what has expired goes with the next


@pytest.mark.actor()
def test_the_newest_to_an_address_voids_those_before_it(client_of: ClientOf, account: Account) -> None:
    guest = make_account()
    first, second = invite(account.actor, guest.email, role="admin"), invite(account.actor, guest.email)
    assert invitations.find(account.actor, ALL)[1] == 1
    refused(client_of(guest).post(ACCEPT, json={"token": first}), 404, "INVITATION_NOT_FOUND")
    assert client_of(guest).post(ACCEPT, json={"token": second}).json["role"] == "viewer"


@pytest.mark.actor()
def test_what_is_taken_back_cannot_be_accepted(
    client: FlaskClient, client_of: ClientOf, account: Account, told: list[Event]
) -> None:
    guest = make_account()
    token = invite(account.actor, guest.email)
    [open_one] = client.get(at(account)).json["items"]
    told.clear()
    assert client.delete(at(account, open_one["id"])).status_code == 204
    assert [event.name for event in told] == ["invitation.revoked"]
    refused(client.delete(at(account, open_one["id"])), 404, "INVITATION_NOT_FOUND")
    refused(client_of(guest).post(ACCEPT, json={"token": token}), 404, "INVITATION_NOT_FOUND")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_below_admin_nobody_sees_or_takes_back_any(client_of: ClientOf, role: Role) -> None:
    owner = make_account()
    made = invitations.create(owner.actor, email="grace@example.com", role="viewer")
    client = client_of(make_account(role=role, organization_id=owner.actor.organization_id))
    refused(client.get(at(owner)), 403, "INSUFFICIENT_ROLE")
    refused(client.delete(at(owner, made["id"])), 403, "INSUFFICIENT_ROLE")


@pytest.mark.actor()
def test_they_come_in_pages_newest_first(client: FlaskClient, account: Account) -> None:
    for number in range(3):
        invite(account.actor, f"guest{number}@example.com")
    pages = [client.get(f"{at(account)}?limit=2&page={number}").json for number in (1, 2)]
    found = [item["email"] for page in pages for item in page["items"]]
    assert found == ["guest2@example.com", "guest1@example.com", "guest0@example.com"]
    assert pages[0]["pagination"]["total"] == 3


@pytest.mark.actor()
def test_no_more_are_open_than_may_be(
    client: FlaskClient, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MOST_OPEN", 3)

    def ask(number: int) -> int:
        body = {"email": f"guest{number}@example.com", "role": "viewer"}
        return client.application.test_client().post(at(account), json=body, headers=account.headers).status_code

    with ThreadPoolExecutor(8) as callers:
        assert sorted(callers.map(ask, range(8))) == [201] * 3 + [409] * 5
    [one, *_] = client.get(at(account)).json["items"]
    again = {"email": one["email"], "role": "admin"}
    assert client.post(at(account), json=again).status_code == 201  # it takes the place of its own


@pytest.mark.actor()
def test_no_more_join_than_may(client_of: ClientOf, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST_MEMBERS", 2)
    guests = [make_account() for _ in range(2)]
    tokens = [invite(account.actor, guest.email) for guest in guests]
    assert client_of(guests[0]).post(ACCEPT, json={"token": tokens[0]}).status_code == 200
    refused(client_of(guests[1]).post(ACCEPT, json={"token": tokens[1]}), 409, "CONFLICT")


@pytest.mark.actor()
def test_they_are_counted_by_the_hour(client: FlaskClient, account: Account, using: Any) -> None:
    body = {"email": "grace@example.com", "role": "viewer"}
    with using(invitation_rate_limit="2 per hour"):
        assert [client.post(at(account), json=body).status_code for _ in range(3)] == [201, 201, 429]
        assert client.get(at(account)).status_code == 200


def sign_up(client: FlaskClient, email: str, token: str, **changes: Any) -> Any:
    body = {"name": "Grace Hopper", "email": email, "password": PASSWORD, "invitationToken": token}
    return client.post("/api/auth/signup", json=body | changes)


def test_who_signs_up_with_one_joins_and_makes_none_of_their_own(
    client: FlaskClient, client_of: ClientOf, told: list[Event]
) -> None:
    owner = make_account()
    token = invite(owner.actor, "grace@example.com", role="operator")
    told.clear()
    answer = sign_up(client, "Grace@example.com", token, organizationName="Not needed")
    assert answer.status_code == 201
    assert answer.json["organization"]["id"] == owner.actor.organization_id
    assert answer.json["organization"]["role"] == "operator"
    assert [event.name for event in told] == ["invitation.accepted", "member.added", "user.signed_up"]
    grace = log_in("grace@example.com")
    assert (grace.actor.organization_id, grace.actor.role) == (owner.actor.organization_id, "operator")
    assert client_of(grace).get("/api/organizations").json["pagination"]["total"] == 1


@pytest.mark.parametrize("wrong", ["made up", "of another address", "used", "taken back", "expired", ""])
def test_who_signs_up_with_none_that_is_theirs_makes_nothing(client: FlaskClient, clock: Any, wrong: str) -> None:
    owner = make_account()
    token = invite(owner.actor, "mary@example.com" if wrong == "of another address" else "grace@example.com")
    if wrong == "used":
        guest = make_account()
        token = invite(owner.actor, guest.email)
        invitations.accept(guest.actor, token)
    if wrong == "taken back":
        invitations.revoke(owner.actor, invitations.find(owner.actor, ALL)[0][0]["id"])
    if wrong == "expired":
        clock(8 * DAY)
    before = User.objects.count(), Organization.objects.count()
    sent = {"made up": "made up", "": ""}.get(wrong, token)
    refused(sign_up(client, "grace@example.com", sent), 404, "INVITATION_NOT_FOUND")
    assert (User.objects.count(), Organization.objects.count()) == before


def test_sign_ups_with_one_token_at_once_make_one_account_and_one_member(client: FlaskClient) -> None:
    owner = make_account()
    token = invite(owner.actor, "grace@example.com")
    ask = partial(sign_up, email="grace@example.com", token=token)
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda _: ask(client.application.test_client()), range(6)))
    told = [answer.json.get("code", "made") for answer in answers]
    assert told.count("made") == 1 and set(told) <= {"made", "EMAIL_ALREADY_EXISTS", "INVITATION_NOT_FOUND"}
    grace = User.objects.get(email="grace@example.com")
    assert list(roles_in(owner)) == [owner.actor.user_id, str(grace.id)]

"""One's notifications, through the front door."""

from collections.abc import Callable

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from tests.factories import Account, make_account, make_notification
from tests.web.refusals import refused

AT = "/api/notifications"


def test_a_stranger_has_none(client: FlaskClient) -> None:
    one = str(ObjectId())
    asked = [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/unread-count"),
        ("POST", "/read-all"),
        ("POST", f"/{one}/read"),
    ]
    for method, path in asked:
        refused(client.open(AT + path, method=method), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_anothers_are_unknown_also_within_one_organization(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], account: Account
) -> None:
    other = make_account(role="viewer", organization_id=account.actor.organization_id)
    theirs = make_notification(other)
    assert client.get(AT).json["items"] == []
    refused(client.post(f"{AT}/{theirs}/read"), 404, "NOTIFICATION_NOT_FOUND")
    assert client.post(f"{AT}/read-all").json == {"read": 0}
    assert client.delete(AT).status_code == 204
    assert client_of(other).get(f"{AT}/unread-count").json == {"count": 1}


@pytest.mark.actor(role="viewer")
def test_it_says_what_it_is_and_of_which_organization(client: FlaskClient, account: Account) -> None:
    one = make_notification(account, organization_id=account.actor.organization_id, data={"jobId": "j"})
    [item] = client.get(AT).json["items"]
    assert item.pop("createdAt") and item.pop("title")
    assert item == {
        "id": one,
        "type": "report",
        "message": "Something has happened.",
        "data": {"jobId": "j"},
        "readAt": None,
        "organizationId": account.actor.organization_id,
    }


@pytest.mark.actor()
def test_they_are_listed_newest_first_and_in_parts(client: FlaskClient, account: Account) -> None:
    made = [make_notification(account) for _ in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        part = client.get(f"{AT}?limit=2{cursor and f'&cursor={cursor}'}").json
        seen += [item["id"] for item in part["items"]]
        make_notification(account)  # which shifts nothing
        cursor = part["pagination"]["nextCursor"]
    assert seen == made[::-1]


@pytest.mark.actor()
def test_a_cursor_is_good_for_ones_own_list(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], account: Account
) -> None:
    for _ in range(2):
        make_notification(account)
    cursor = client.get(f"{AT}?limit=1").json["pagination"]["nextCursor"]
    problem = refused(client_of(make_account()).get(f"{AT}?cursor={cursor}"), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["cursor"]


@pytest.mark.actor()
def test_what_was_read_is_so_from_the_first_time(client: FlaskClient, account: Account) -> None:
    one, other = make_notification(account), make_notification(account)
    answer = client.post(f"{AT}/{one}/read")
    assert answer.status_code == 200 and answer.json["readAt"] is not None
    assert client.post(f"{AT}/{one}/read").json == answer.json
    assert client.get(f"{AT}/unread-count").json == {"count": 1}
    assert [item["id"] for item in client.get(f"{AT}?unread=true").json["items"]] == [other]
    assert len(client.get(AT).json["items"]) == 2


@pytest.mark.actor()
def test_all_are_read_together(client: FlaskClient, account: Account) -> None:
    assert client.post(f"{AT}/read-all").json == {"read": 0}
    for _ in range(3):
        make_notification(account)
    assert client.post(f"{AT}/read-all").json == {"read": 3}
    assert client.post(f"{AT}/read-all").json == {"read": 0}
    assert client.get(f"{AT}/unread-count").json == {"count": 0}


@pytest.mark.actor()
def test_what_is_cleared_is_gone(client: FlaskClient, account: Account) -> None:
    one = make_notification(account)
    for _ in range(2):
        assert client.delete(AT).status_code == 204
    assert client.get(AT).json == {"items": [], "pagination": {"limit": 20, "nextCursor": None}}
    refused(client.post(f"{AT}/{one}/read"), 404, "NOTIFICATION_NOT_FOUND")


@pytest.mark.actor()
@pytest.mark.parametrize("query", ["unread=perhaps", "limit=0", "limit=101", "cursor=x", "page=1", "read=true"])
def test_what_makes_no_sense_is_refused(client: FlaskClient, query: str) -> None:
    refused(client.get(f"{AT}?{query}"), 422, "VALIDATION_ERROR")

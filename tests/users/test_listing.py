"""All accounts there are, from outside: for platform admins only."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.users.schemas import UserSchema
from tests.factories import Account, make_account
from tests.web.refusals import refused

USERS = "/api/users"
ClientOf = Callable[..., FlaskClient]

pytestmark = pytest.mark.parametrize("path", [USERS, f"{USERS}/users"])


def names(client: FlaskClient, path: str, **query: Any) -> list[str]:
    answer = client.get(path, query_string=query)
    assert answer.status_code == 200, answer.json
    return [user["name"] for user in answer.json["items"]]


def test_a_stranger_sees_nobody(client: FlaskClient, path: str) -> None:
    refused(client.get(path), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_nor_does_whoever_is_no_platform_admin(client_of: ClientOf, path: str, role: Any) -> None:
    client = client_of(make_account(role=role))
    refused(client.get(path), 403, "FORBIDDEN")
    refused(client.get(f"{path}?nonsense=1"), 403, "FORBIDDEN")


@pytest.mark.actor(platform_admin=True, name="Root")
def test_a_platform_admin_sees_everybody_newest_first(client: FlaskClient, account: Account, path: str) -> None:
    ada = make_account()
    answer = client.get(path)
    assert [user["name"] for user in answer.json["items"]] == ["Ada Lovelace", "Root"]
    assert [user["role"] for user in answer.json["items"]] == ["user", "admin"]
    assert answer.json["items"][0]["email"] == ada.email
    assert answer.json["pagination"] == {
        "page": 1, "limit": 20, "total": 2, "pages": 1, "hasNext": False, "hasPrev": False,
    }  # fmt: skip
    for user in answer.json["items"]:
        assert set(user) == {field.data_key for field in UserSchema().dump_fields.values()}


@pytest.mark.actor(platform_admin=True, name="Root")
def test_pages_hold_everybody_once_also_of_one_moment(client: FlaskClient, path: str, clock: Any) -> None:
    for number in range(6):
        make_account(name=f"Person {number}")
        clock(0.001 * (number % 2))
    seen = [name for page in (1, 2, 3) for name in names(client, path, page=page, limit=3)]
    assert sorted(seen) == sorted([*(f"Person {number}" for number in range(6)), "Root"])


@pytest.mark.actor(platform_admin=True, name="Root")
def test_they_are_searched_by_part_of_name_or_address_taken_literally(client: FlaskClient, path: str) -> None:
    grace = make_account(name="Grace (Amazing) Hopper")
    make_account(name="Émilie du Châtelet")
    assert names(client, path, search="amazing") == ["Grace (Amazing) Hopper"]
    assert names(client, path, search=grace.email.upper()) == ["Grace (Amazing) Hopper"]
    assert names(client, path, search="ÉMILIE") == ["Émilie du Châtelet"]
    assert names(client, path, search="(amazing)") == ["Grace (Amazing) Hopper"]
    for pattern in (".*", "^", "(", "[", "\\", "a|e", "$", "%28"):
        assert names(client, path, search=pattern) in ([], ["Grace (Amazing) Hopper"]), pattern
    assert names(client, path, search="(") == ["Grace (Amazing) Hopper"]
    assert names(client, path, search="a.azing") == []
    assert client.get(f"{path}?search=amazing").json["pagination"]["total"] == 1


@pytest.mark.actor(platform_admin=True, name="Root")
def test_they_are_narrowed_by_role(client: FlaskClient, path: str) -> None:
    make_account(), make_account(platform_admin=True, name="Other Root")
    assert names(client, path, role="admin") == ["Other Root", "Root"]
    assert names(client, path, role="user") == ["Ada Lovelace"]
    assert names(client, path, role="admin", search="other") == ["Other Root"]
    problem = refused(client.get(f"{path}?role=owner"), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["role"]

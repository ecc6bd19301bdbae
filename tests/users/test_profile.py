"""The profile, from outside: whose it is, what of it may change, and what a cache may say of it."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

from devicehub.core.events import Event
from devicehub.users.schemas import UserSchema
from tests.conftest import LiveServer
from tests.factories import Account, make_account
from tests.web.refusals import refused

PROFILE = "/api/users/profile"


def test_a_stranger_has_none(client: FlaskClient) -> None:
    for method in ("GET", "PUT", "PATCH"):
        refused(client.open(PROFILE, method=method), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor(role="viewer")
def test_everybody_reads_and_changes_their_own_whatever_their_role(client: FlaskClient, account: Account) -> None:
    assert client.get(PROFILE).json["id"] == account.actor.user_id
    assert client.patch(PROFILE, json={"name": "Ada Byron"}).json["name"] == "Ada Byron"
    assert client.get(PROFILE).json["name"] == "Ada Byron"


@pytest.mark.actor()
def test_it_shows_what_its_schema_documents_and_nothing_else(client: FlaskClient) -> None:
    found = client.get(PROFILE).json
    assert set(found) == {field.data_key for field in UserSchema().dump_fields.values()}
    assert UserSchema().validate(found) == {}


def test_nobody_sees_or_changes_anothers(client_of: Callable[[Account], FlaskClient]) -> None:
    ada, bob = make_account(), make_account(name="Bob")
    assert client_of(ada).patch(PROFILE, json={"name": "Changed"}).status_code == 200
    assert client_of(bob).get(PROFILE).json["name"] == "Bob"
    assert client_of(ada).get(PROFILE).json["email"] == ada.email


@pytest.mark.actor()
@pytest.mark.parametrize(
    "key", ["role", "email", "id", "password", "passwordHash", "tokenVersion", "revision", "createdAt"]
)
def test_nothing_but_the_name_may_be_set(client: FlaskClient, key: str) -> None:
    before = client.get(PROFILE).json
    for method in ("PUT", "PATCH"):
        problem = refused(
            client.open(PROFILE, method=method, json={"name": "Ada Byron", key: "admin"}), 422, "VALIDATION_ERROR"
        )
        assert list(problem["errors"]) == [key]
    assert client.get(PROFILE).json == before


@pytest.mark.actor()
def test_putting_takes_the_whole_and_patching_may_take_nothing(client: FlaskClient, told: list[Event]) -> None:
    before = client.get(PROFILE).json
    assert list(refused(client.put(PROFILE, json={}), 422)["errors"]) == ["name"]
    assert client.patch(PROFILE, json={}).json == before
    assert [event.name for event in told] == []
    assert client.put(PROFILE, json={"name": "Ada Byron"}).json["name"] == "Ada Byron"
    assert [event.name for event in told] == ["user.updated"]


@pytest.mark.actor()
def test_a_change_is_stamped_with_its_time(client: FlaskClient, clock: Any) -> None:
    before = client.get(PROFILE).json
    clock(60)
    after = client.patch(PROFILE, json={"name": "Ada Byron"}).json
    assert after["createdAt"] == before["createdAt"]
    assert after["updatedAt"] > before["updatedAt"]


@pytest.mark.actor()
def test_it_is_computed_once_and_then_remembered(client: FlaskClient) -> None:
    first, second = client.get(PROFILE), client.get(PROFILE)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.headers["Age"] == "0" and second.headers["Age"].isdecimal()
    assert first.data == second.data and first.headers["ETag"] == second.headers["ETag"]
    assert first.headers["Vary"] == "Authorization, X-API-Key"
    assert first.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.actor()
def test_its_age_is_that_of_what_is_remembered(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client.get(PROFILE)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 100)
    assert 99 <= int(client.get(PROFILE).headers["Age"]) <= 101


@pytest.mark.actor()
@pytest.mark.parametrize("asked", ["no-cache", "max-age=0, no-cache"])
def test_who_asks_past_the_cache_neither_reads_nor_stores(client: FlaskClient, asked: str) -> None:
    for _ in range(2):
        answer = client.get(PROFILE, headers={"Cache-Control": asked})
        assert (answer.headers["X-Cache"], answer.headers["Age"]) == ("BYPASS", "0")
    assert client.get(PROFILE).headers["X-Cache"] == "MISS"


@pytest.mark.actor()
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_change_is_seen_at_once(client: FlaskClient, method: str) -> None:
    before = client.get(PROFILE)
    client.open(PROFILE, method=method, json={"name": "Ada Byron"})
    after = client.get(PROFILE, headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json["name"], after.headers["X-Cache"]) == (200, "Ada Byron", "MISS")
    assert after.headers["ETag"] != before.headers["ETag"]


@pytest.mark.actor()
def test_a_change_is_seen_at_once_in_every_process(
    live_server: LiveServer, client: FlaskClient, account: Account
) -> None:
    elsewhere = live_server.url + PROFILE
    with httpx.Client(headers=account.headers) as http:
        assert http.get(elsewhere).headers["X-Cache"] == "MISS"
        assert client.get(PROFILE).headers["X-Cache"] == "HIT"
        client.patch(PROFILE, json={"name": "Ada Byron"})
        assert http.get(elsewhere).json()["name"] == "Ada Byron"


@pytest.mark.actor()
@pytest.mark.parametrize("tags", ["{0}", '"x", {0}', "*", "W/{0}"])
def test_what_the_client_has_already_is_not_sent_again(client: FlaskClient, tags: str) -> None:
    first = client.get(PROFILE)
    answer = client.get(PROFILE, headers={"If-None-Match": tags.format(first.headers["ETag"])})
    assert (answer.status_code, answer.data) == (304, b"")
    for header in ("ETag", "Cache-Control", "Vary"):
        assert answer.headers[header] == first.headers[header]
    assert answer.headers["X-Request-ID"] and answer.headers["X-Cache"] == "HIT"


@pytest.mark.actor()
@pytest.mark.parametrize("tags", ['"x"', "nonsense", '""', '"x", "y"'])
def test_what_the_client_has_of_something_else_does_not_count(client: FlaskClient, tags: str) -> None:
    assert client.get(PROFILE, headers={"If-None-Match": tags}).status_code == 200


@pytest.mark.actor()
def test_its_tag_is_strong_and_the_same_however_it_was_come_by(client: FlaskClient) -> None:
    miss, hit = client.get(PROFILE), client.get(PROFILE)
    fresh, head = client.get(PROFILE, headers={"Cache-Control": "no-cache"}), client.head(PROFILE)
    tags = {answer.headers["ETag"] for answer in (miss, hit, fresh, head)}
    assert len(tags) == 1 and tags.pop().startswith('"')


@pytest.mark.actor()
def test_it_is_no_older_than_its_last_change(client: FlaskClient) -> None:
    found = client.get(PROFILE)
    modified = parsedate_to_datetime(found.headers["Last-Modified"])
    assert modified.strftime("%Y-%m-%dT%H:%M:%S") == found.json["updatedAt"][:19]
    since = {"If-Modified-Since": found.headers["Last-Modified"]}
    assert client.get(PROFILE, headers=since).status_code == 304
    assert client.get(PROFILE, headers=since | {"If-None-Match": '"x"'}).status_code == 200

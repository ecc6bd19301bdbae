"""The audit trail, from outside: who may read it, and how one gets through it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.audit import service as audit
from devicehub.audit.schemas import AuditEntrySchema
from devicehub.core.actor import Actor
from tests.factories import join, make_account, make_device
from tests.web.refusals import refused

ClientOf = Callable[..., FlaskClient]


def path_of(actor: Actor) -> str:
    return f"/api/organizations/{actor.organization_id}/audit"


def acts(actor: Actor, count: int) -> None:
    for number in range(count):
        audit.record(actor, "test.done", target=str(number))


def pages(client: FlaskClient, path: str, query: str = "") -> Iterator[list[dict[str, Any]]]:
    """Every part of the list, each asked for with the cursor of the one before."""
    cursor = ""
    while cursor is not None:
        answer = client.get(f"{path}?{query}{cursor and f'&cursor={cursor}'}")
        assert answer.status_code == 200, answer.json
        yield answer.json["items"]
        cursor = answer.json["pagination"]["nextCursor"]


def test_a_stranger_reads_none(client: FlaskClient) -> None:
    refused(client.get(path_of(make_account().actor)), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_another_organizations_is_as_unknown_as_one_that_never_was(client: FlaskClient) -> None:
    for theirs in (make_account().actor.organization_id, str(ObjectId()), "nonsense"):
        refused(client.get(f"/api/organizations/{theirs}/audit"), 404, "ORGANIZATION_NOT_FOUND")


@pytest.mark.actor()
def test_of_ones_own_each_is_read_as_what_one_is_there(client: FlaskClient, account: Any) -> None:
    mine, merely_visited = make_account().actor, make_account().actor
    join(account, mine.organization_id, role="owner")
    join(account, merely_visited.organization_id, role="viewer")
    acts(mine, 1)
    [last, *_] = client.get(path_of(mine)).json["items"]
    assert last["action"] == "test.done"
    refused(client.get(path_of(merely_visited)), 403, "INSUFFICIENT_ROLE")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_member_below_admin_reads_none(client_of: ClientOf, role: Any) -> None:
    member = make_account(role=role)
    refused(client_of(member).get(path_of(member.actor)), 403, "INSUFFICIENT_ROLE")


@pytest.mark.actor(role="admin")
def test_an_admin_reads_what_happened_newest_first(client: FlaskClient, actor: Actor) -> None:
    device = make_device(actor)["id"]
    client.delete(f"/api/devices/{device}")
    answer = client.get(path_of(actor))
    done, intended, created, *_ = answer.json["items"]
    assert [entry["outcome"] for entry in (done, intended, created)] == ["done", "intended", "done"]
    assert (created["action"], created["target"], created["actorId"]) == ("device.created", device, actor.user_id)
    assert done["intent"] == intended["sequence"] == created["sequence"] + 1
    assert (done["previous"], intended["previous"]) == (intended["hash"], created["hash"])
    assert answer.json["pagination"] == {"limit": 20, "nextCursor": None}
    assert answer.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.actor()
def test_an_entry_shows_what_its_schema_documents(client: FlaskClient, actor: Actor) -> None:
    acts(actor, 1)
    for entry in client.get(path_of(actor)).json["items"]:
        assert set(entry) == {field.data_key for field in AuditEntrySchema().dump_fields.values()}
        assert AuditEntrySchema().validate(entry) == {}


@pytest.mark.actor()
def test_parts_follow_each_other_whatever_is_added_meanwhile(client: FlaskClient, actor: Actor) -> None:
    acts(actor, 25)
    seen = []
    for part in pages(client, path_of(actor), "limit=10&action=test.done"):
        assert len(part) <= 10
        seen += [int(entry["target"]) for entry in part]
        acts(actor, 3)
    assert seen == [*range(24, -1, -1)]


@pytest.mark.actor()
def test_a_last_part_that_is_full_says_that_it_is_the_last(client: FlaskClient, actor: Actor) -> None:
    acts(actor, 20)
    assert [len(part) for part in pages(client, path_of(actor), "limit=10&action=test.done")] == [10, 10]


@pytest.mark.actor()
def test_it_is_narrowed_by_who_did_what_and_when(client: FlaskClient, actor: Actor, clock: Any) -> None:
    other = make_account(role="operator", organization_id=actor.organization_id).actor
    acts(actor, 1)
    clock(600)
    audit.record(other, "test.done", target="later")
    audit.record(other, "test.other")

    def found(**query: str) -> list[str]:
        answer = client.get(path_of(actor), query_string=query)
        assert answer.status_code == 200
        return [entry["target"] or "-" for entry in answer.json["items"]]

    [later] = client.get(path_of(actor), query_string={"action": "test.done", "actor": other.user_id}).json[
        "items"
    ]
    assert found(action="test.done") == ["later", "0"]
    assert found(action="test.done", actor=actor.user_id) == ["0"]
    assert found(actor=other.user_id, limit="2") == ["-", "later"]
    assert found(action="test.done", **{"from": later["at"]}) == ["later"]
    assert found(action="test.done", to=later["at"]) == ["0"]
    assert found(action="test.done", to=later["at"], **{"from": later["at"]}) == []
    assert found(actor="nonsense") == found(action="test") == found(actor=str(ObjectId())) == []


@pytest.mark.actor()
def test_a_range_that_ends_before_it_begins_is_refused(client: FlaskClient, actor: Actor) -> None:
    query = {"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    problem = refused(client.get(path_of(actor), query_string=query), 422, "INVALID_DATE_RANGE")
    assert list(problem["errors"]) == ["to"]


@pytest.mark.actor()
@pytest.mark.parametrize("key", ["limit=0", "limit=101", "from=yesterday", "to=2026-01-01T00:00:00", "page=1"])
def test_odd_questions_are_refused(client: FlaskClient, actor: Actor, key: str) -> None:
    problem = refused(client.get(f"{path_of(actor)}?{key}"), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == [key.partition("=")[0]]


@pytest.mark.actor()
def test_a_cursor_is_good_for_its_own_list_only(client: FlaskClient, actor: Actor, client_of: ClientOf) -> None:
    other = make_account()
    acts(actor, 3)
    cursor = client.get(f"{path_of(actor)}?limit=1").json["pagination"]["nextCursor"]
    for odd in (cursor[:-1], f"{cursor}x", "WzFd", "WzFd.", "[1]", cursor.swapcase()):
        problem = refused(client.get(path_of(actor), query_string={"cursor": odd}), 422, "VALIDATION_ERROR")
        assert list(problem["errors"]) == ["cursor"]
    refused(client_of(other).get(f"{path_of(other.actor)}?cursor={cursor}"), 422, "VALIDATION_ERROR")

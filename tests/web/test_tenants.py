"""Every operation the document lists, against what belongs to somebody else, whatever the caller comes with.

The document is walked, so that a new operation is tested without being named; `things.py` says what there is.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import mongo
from devicehub.core.actor import SCOPES
from tests.conftest import holding
from tests.factories import (
    Account,
    bearing,
    make_account,
    make_api_key,
    make_device,
    make_device_key,
    make_one_of_each,
)
from tests.web.operations import Operation, operations
from tests.web.refusals import refused
from tests.web.things import Ids, among, is_id, meant, things_of, with_ids_of

FOR_DEVICES = {
    "POST /api/devices/{device_id}/logs",
    "GET /api/devices/{device_id}",
    "POST /api/devices/{device_id}/heartbeat",
    "POST /api/devices/heartbeats",
}
NOT_FOR_KEYS = ("/api/auth/", "/api/users/", "/api/organizations", "/api/invitations", "/api/audit")

Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def undisturbed(app: Any) -> Iterator[None]:
    """Nobody sends what webhooks are owed: that would change them beside the test."""
    with holding("webhooks", "nobody"):
        yield


@pytest.fixture
def own(account: Account) -> dict[str, str]:
    """What somebody may come with, by its kind: each good for all that its kind may do; and the key's device."""
    device_id = make_device(account.actor)["id"]
    return {
        "user": account.access_token,
        "api key": make_api_key(account.actor),
        "device key": make_device_key(account.actor, device_id),
        "device": str(device_id),
    }


@pytest.fixture
def ask(app: Any) -> Ask:
    """Send a request to an operation, with a credential and the ids its path takes."""
    stranger: FlaskClient = app.test_client()

    def send(operation: Operation, credential: str, ids: Ids, *, body: Any = None, query: str = "") -> Any:
        body = operation.example if body is None and operation.takes_body else body
        how = {"json": body} if operation.takes_body else {}
        if operation.takes_lines:
            how = {"data": operation.lines, "content_type": "application/x-ndjson"}
        path = operation.address(ids) + query
        return stranger.open(path, method=operation.method, headers=bearing(credential), **how)

    return send


def guarded() -> list[Operation]:
    found = [operation for operation in operations() if operation.is_guarded]
    assert len(found) >= 18
    return found


def named_in(operation: Operation) -> list[str]:
    """The ids among the keys of its query."""
    return [parameter["name"] for parameter in operation.query if is_id(parameter["name"])]


def all_of(organization_id: str) -> dict[str, list[Any]]:
    """Everything an organization has, as it lies in MongoDB."""
    wanted, db = ObjectId(organization_id), mongo.database()
    chosen = {"$match": {"$or": [{"organization_id": wanted}, {"_id": wanted}]}}

    def look(name: str) -> dict[str, Any]:
        here = {"$replaceWith": {"in": {"$literal": name}, "is": "$$ROOT"}}
        return {"$unionWith": {"coll": name, "pipeline": [chosen, {"$sort": {"_id": 1}}, here]}}

    # One question for all collections: it is asked twice for every operation.
    looks = [look(name) for name in db.list_collection_names()]
    found: dict[str, list[Any]] = {}
    for each in db.aggregate([{"$documents": []}, *looks]):
        found.setdefault(each["in"], []).append(each["is"])
    return found


def must_be_unknown(answer: Any, operation: Operation, who: str) -> None:
    """Raise unless what was asked for is as unknown as what never was, or each of many is."""
    note = f"{operation} as {who}: {answer.status_code} {answer.text}"
    if answer.status_code == 200 and "items" in answer.json:
        assert {item.get("status") for item in answer.json["items"]} <= {404}, note
    else:
        assert answer.status_code == 404 and answer.json["code"].endswith("_NOT_FOUND"), note
        assert operation.documents(404, answer.json["code"]), note


def let_in(operation: Operation, who: str) -> bool:
    """Whether callers of a kind are let in at all, without being platform admins."""
    return {
        "user": not operation.is_for_platform_admins,
        "api key": operation.scope is not None,
        "device key": operation.lets_devices_in,
    }[who]


@pytest.mark.actor()
@pytest.mark.parametrize("who", ["user", "api key", "device key"])
def test_what_another_organization_has_is_unknown(ask: Ask, own: dict[str, str], who: str) -> None:
    theirs, asked = make_account(), 0
    made = make_one_of_each(theirs)
    for operation in guarded():
        if not operation.in_path or not let_in(operation, who):
            continue
        ids = among(made, theirs, operation)
        before = all_of(theirs.actor.organization_id)
        must_be_unknown(ask(operation, own[who], ids), operation, who)
        assert all_of(theirs.actor.organization_id) == before, operation
        asked += 1
    assert asked >= {"user": 25, "api key": 7, "device key": 2}[who]


@pytest.mark.actor()
def test_what_it_has_is_unknown_within_ones_own_too(ask: Ask, own: dict[str, str], account: Account) -> None:
    """Of a path with several ids, all but one are the caller's own."""
    theirs, asked = make_account(), 0
    for operation in guarded():
        for foreign, who in product(operation.in_path[1:], ("user", "api key")):
            if let_in(operation, who):
                ids = things_of(account, operation) | {foreign: things_of(theirs, operation)[foreign]}
                before = all_of(theirs.actor.organization_id)
                must_be_unknown(ask(operation, own[who], ids), operation, who)
                assert all_of(theirs.actor.organization_id) == before, operation
                asked += 1
    assert asked >= 4


@pytest.mark.actor()
@pytest.mark.parametrize("who", ["user", "api key", "device key"])
def test_what_it_has_is_unknown_in_a_body_too(ask: Ask, own: dict[str, str], account: Account, who: str) -> None:
    theirs, asked = make_account(), 0
    for operation in guarded():
        if not operation.takes_body or not let_in(operation, who):
            continue
        body = with_ids_of(theirs, operation.whole_example)
        if body != operation.whole_example:
            ids, before = things_of(account, operation), all_of(theirs.actor.organization_id)
            must_be_unknown(ask(operation, own[who], ids, body=body), operation, who)
            assert all_of(theirs.actor.organization_id) == before, operation
            asked += 1
    assert asked >= {"user": 2, "api key": 1, "device key": 1}[who]


@pytest.mark.actor()
@pytest.mark.parametrize("who", ["user", "api key"])
def test_whoever_filters_by_it_finds_nothing(ask: Ask, own: dict[str, str], account: Account, who: str) -> None:
    theirs, asked = make_account(), 0
    for operation in guarded():
        for name in named_in(operation):
            if let_in(operation, who) and not operation.is_stream:
                query = f"?{name}={meant(theirs, name)}"
                answer = ask(operation, own[who], things_of(account, operation), query=query)
                note = f"{operation}{query}: {answer.text}"
                assert answer.status_code == 404 or (answer.status_code == 200 and not answer.json["items"]), note
                asked += 1
    assert asked >= {"user": 2, "api key": 1}[who]


@pytest.mark.actor()
@pytest.mark.parametrize("who", ["user", "api key", "device key"])
def test_no_answer_names_what_another_organization_has(
    ask: Ask, own: dict[str, str], account: Account, who: str
) -> None:
    """Asked about one's own, and for lists without a filter."""
    theirs = make_account()
    foreign = {*make_one_of_each(theirs).values(), theirs.actor.organization_id, theirs.actor.user_id}
    asked = 0
    for operation in guarded():
        if operation.method == "GET" and let_in(operation, who) and not operation.is_stream:
            ids = things_of(account, operation)
            if who == "device key":
                ids |= {"device_id": own["device"]}
            answer = ask(operation, own[who], ids)
            assert answer.status_code == 200 or operation.documents(answer.status_code, answer.json["code"])
            assert [one for one in foreign if one in answer.text] == [], f"{operation}: {answer.text}"
            asked += answer.status_code == 200
    assert asked >= {"user": 18, "api key": 5, "device key": 1}[who]


@pytest.mark.actor()
def test_a_device_is_let_in_where_it_tells_of_itself_and_nowhere_else(
    ask: Ask, own: dict[str, str], account: Account
) -> None:
    assert {str(operation) for operation in guarded() if operation.lets_devices_in} == FOR_DEVICES
    made = make_one_of_each(account)
    for operation in guarded():
        if not operation.lets_devices_in:
            answer = ask(operation, own["device key"], among(made, account, operation))
            refused(answer, 403, "FORBIDDEN")
            assert operation.documents(403, "FORBIDDEN"), operation


@pytest.mark.actor()
def test_an_api_key_is_let_in_by_its_scope_and_no_other(ask: Ask, account: Account) -> None:
    asked = set()
    for operation in guarded():
        if operation.scope is not None and not operation.is_stream:
            others = make_api_key(account.actor, *(scope for scope in SCOPES if scope != operation.scope))
            ids = things_of(account, operation)
            refused(ask(operation, others, ids), 403, "INSUFFICIENT_SCOPE")
            assert operation.documents(403, "INSUFFICIENT_SCOPE"), operation
            fit = make_api_key(account.actor, operation.scope)
            body = without_keys(operation)
            assert ask(operation, fit, ids, body=body, query=needed(operation, account)).status_code < 300, (
                operation
            )
            asked.add(operation.scope)
            account = account if operation.method == "GET" else make_account()
    assert asked >= {"devices:read", "devices:write", "heartbeats:write"}


def needed(operation: Operation, account: Account) -> str:
    """What it cannot do without in its query: two of the caller's devices."""
    names = [parameter["name"] for parameter in operation.query if parameter.get("required")]
    assert names in ([], ["devices"]), operation
    return "".join(f"?{name}=" + ",".join(make_device(account.actor)["id"] for _ in range(2)) for name in names)


def without_keys(operation: Operation) -> Any:
    """Its example, but asking for no key: keys make none."""
    body = operation.example if operation.takes_body else None
    return {name: value for name, value in body.items() if name != "issueKeys"} if body else body


@pytest.mark.actor()
def test_without_a_scope_no_api_key_is_let_in_and_account_matters_have_none(
    ask: Ask, own: dict[str, str], account: Account
) -> None:
    bare = [operation for operation in guarded() if operation.scope is None]
    assert [str(one) for one in guarded() if one.scope and one.path.startswith(NOT_FOR_KEYS)] == []
    assert len(bare) >= 12
    made = make_one_of_each(account)
    for operation in bare:
        refused(ask(operation, own["api key"], among(made, account, operation)), 403, "FORBIDDEN")
        assert operation.documents(403, "FORBIDDEN"), operation

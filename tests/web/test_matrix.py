"""Every operation the document lists, against everything a client can do wrong."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import Account, make_account, make_device
from tests.web.operations import UNKNOWN, Operation, operations
from tests.web.refusals import refused

JSON = "application/json"
DEEP = b'{"name":' * 10_000 + b"1" + b"}" * 10_000
UNREADABLE = {
    "cut short": b'{"name": "x"',
    "no JSON": b"name=x",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "half a surrogate": b'{"name": "\\ud800"}',
    "nested 10 000 deep": DEEP,
    "a list nested 10 000 deep": b"[" * 10_000 + b"]" * 10_000,
    "nested 33 deep": b'{"metadata":' * 33 + b"1" + b"}" * 33,
    "a huge integer": b'{"heartbeatInterval": 1' + b"0" * 400 + b"}",
    "an integer beyond 63 bits": b'{"metadata": {"n": 9223372036854775808}}',
    "NaN": b'{"metrics": {"n": NaN}}',
    "infinity": b'{"metrics": {"n": 1e400}}',
    "minus infinity": b'{"metrics": {"n": -Infinity}}',
    "two values": b"{} {}",
    "a comment": b'{} // "nothing"',
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
}

Asked = Iterator[tuple[str, Any, Operation]]


Ids = dict[str, str]


def ids_of(account: Account) -> Ids:
    """The ids of what is somebody's, by the names that paths give them."""
    return {
        "device_id": make_device(account.actor)["id"],
        "organization_id": account.actor.organization_id,
    }


@pytest.fixture
def own(account: Account) -> Ids:
    return ids_of(account)


def with_body() -> list[Operation]:
    found = [operation for operation in operations() if operation.takes_body]
    assert len(found) >= 9
    return found


def guarded() -> list[Operation]:
    found = [operation for operation in operations() if operation.is_guarded and not operation.is_stream]
    assert len(found) >= 11
    return found


def with_id() -> list[Operation]:
    found = [operation for operation in operations() if operation.has_id]
    assert len(found) >= 4
    return found


@pytest.fixture
def ask(client: FlaskClient) -> Callable[..., Any]:
    """Send a request to an operation."""

    def send(operation: Operation, ids: str | Ids = UNKNOWN, query: str = "", **how: Any) -> Any:
        return client.open(operation.address(ids) + query, method=operation.method, **how)

    return send


def must_be(answer: Any, status: int, code: str, operation: Operation, why: str) -> dict[str, Any]:
    """The problem of a refusal that is right, and that the document names."""
    note = f"{operation}: {why}"
    assert (answer.status_code, answer.json["code"]) == (status, code), f"{note}: {answer.text}"
    assert operation.documents(status, code), f"{note}: {status} {code} is not documented"
    return refused(answer, status, code)


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("why", UNREADABLE)
def test_what_cannot_be_read_is_malformed(ask: Any, own: Ids, why: str) -> None:
    for operation in with_body():
        answer = ask(operation, own, data=UNREADABLE[why], content_type=JSON)
        must_be(answer, 400, "MALFORMED_REQUEST", operation, why)


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("body", ["[]", "[{}]", '"text"', "1", "null", "true"])
def test_only_an_object_is_a_body(ask: Any, own: Ids, body: str) -> None:
    for operation in with_body():
        answer = ask(operation, own, data=body, content_type=JSON)
        must_be(answer, 422, "VALIDATION_ERROR", operation, body)


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", None]
)
def test_only_json_is_read(ask: Any, own: Ids, content_type: str | None) -> None:
    for operation in with_body():
        answer = ask(operation, own, data=b'{"name": "x"}', content_type=content_type)
        must_be(answer, 415, "UNSUPPORTED_MEDIA_TYPE", operation, str(content_type))


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/merge-patch+json"])
def test_json_may_say_more_of_itself(ask: Any, own: Ids, content_type: str) -> None:
    for operation in with_body():
        answer = ask(operation, own, data=b'{"nonsense": 1}', content_type=content_type)
        must_be(answer, 422, "VALIDATION_ERROR", operation, content_type)


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_nothing_packed_is_unpacked(ask: Any, own: Ids, encoding: str) -> None:
    for operation in with_body():
        answer = ask(operation, own, json={}, headers={"Content-Encoding": encoding})
        must_be(answer, 415, "UNSUPPORTED_MEDIA_TYPE", operation, encoding)


@pytest.mark.actor(platform_admin=True)
def test_what_is_too_large_is_not_read(ask: Any, own: Ids) -> None:
    body = b'{"name": "%s"}' % (b"x" * (10 << 20))
    for operation in with_body():
        answer = ask(operation, own, data=body, content_type=JSON)
        must_be(answer, 413, "PAYLOAD_TOO_LARGE", operation, "10 MB and a little")


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("shape", [{"$gt": ""}, {"$ne": None}, {"$regex": ".*"}, {"$where": "sleep(1000)"}])
def test_what_looks_like_an_operator_is_no_value_of_any_property(ask: Any, own: Ids, shape: Any) -> None:
    for operation in with_body():
        for name, schema in operation.body["properties"].items():
            judged_one_by_one = schema.get("type") == "array" and "type" not in schema["items"]
            for value in [shape] if judged_one_by_one else [shape, [shape]]:
                answer = ask(operation, own, json=operation.example | {name: value})
                problem = must_be(answer, 422, "VALIDATION_ERROR", operation, name)
                assert name in problem["errors"], f"{operation}: {name}"


@pytest.mark.actor(platform_admin=True)
def test_nor_is_it_a_device_of_a_batch(client: FlaskClient) -> None:
    odd: list[Any] = [{"$gt": ""}, {"name": {"$gt": ""}, "type": "sensor"}, [], "x", 1]
    answer = client.post("/api/devices/batch", json={"devices": odd})
    assert answer.json["created"] == 0
    assert [item["error"]["code"] for item in answer.json["items"]] == ["VALIDATION_ERROR"] * len(odd)


@pytest.mark.actor(platform_admin=True)
def test_what_is_missing_is_named(ask: Any, own: Ids) -> None:
    for operation in with_body():
        for name in operation.body.get("required", []):
            rest = {key: value for key, value in operation.example.items() if key != name}
            problem = must_be(ask(operation, own, json=rest), 422, "VALIDATION_ERROR", operation, name)
            assert list(problem["errors"]) == [name], f"{operation}: {name}"


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize(
    "key", ["unknownKey", "unknown_key", "$set", "__proto__", "_id", "organizationId", "passwordHash", ""]
)
def test_what_is_unknown_in_a_body_is_named(ask: Any, own: Ids, key: str) -> None:
    for operation in with_body():
        if key in operation.body["properties"]:
            continue
        answer = ask(operation, own, json=operation.example | {key: "x"})
        problem = must_be(answer, 422, "VALIDATION_ERROR", operation, key)
        assert list(problem["errors"]) == [key], f"{operation}: {key}"


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("key", ["unknownKey", "status[$ne]", "$where", "limit[]", ""])
def test_what_is_unknown_in_a_query_is_named(ask: Any, own: Ids, key: str) -> None:
    for operation in operations():
        if not operation.is_stream:
            body = {"json": operation.example} if operation.takes_body else {}
            query = f"?{key}=1{beside(operation, key)}"
            problem = must_be(ask(operation, own, query, **body), 422, "VALIDATION_ERROR", operation, key)
            assert list(problem["errors"]) == [key], f"{operation}: {key}"


def beside(operation: Operation, key: str) -> str:
    """What else has to be in its query."""
    required = (one["name"] for one in operation.query if one.get("required"))
    return "".join(f"&{name}=x" for name in required if name != key)


@pytest.mark.actor(platform_admin=True)
def test_a_query_takes_neither_letters_for_numbers_nor_what_is_out_of_reach(ask: Any, own: Ids) -> None:
    asked = 0
    for operation in operations():
        for parameter in operation.query:
            schema = parameter["schema"]
            wrong = {"integer": ["x", "", "1.5", "-1", "0", "9" * 30, "1e3"], "array": ["x" * 51]}.get(
                schema["type"], []
            )
            wrong += ["nonsense"] if "enum" in schema else []
            wrong += ["x" * (schema["maxLength"] + 1)] if "maxLength" in schema else []
            for value in wrong:
                name = parameter["name"]
                answer = ask(operation, own, f"?{name}={value}{beside(operation, name)}")
                problem = must_be(answer, 422, "VALIDATION_ERROR", operation, f"{parameter['name']}={value[:20]}")
                assert list(problem["errors"]) == [parameter["name"]]
                asked += 1
    assert asked > 20


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("odd", ["%00", "%FF%FE", "%ED%A0%80", "a%00b"])
def test_a_query_of_odd_bytes_is_no_servers_error(ask: Any, own: Ids, odd: str) -> None:
    for operation in operations():
        for parameter in operation.query:
            answer = ask(operation, own, f"?{parameter['name']}={odd}")
            is_unknown = answer.status_code == 404 and operation.documents(404, answer.json["code"])
            is_fine = is_unknown or answer.status_code in (200, 422)
            assert is_fine, f"{operation} {parameter['name']}={odd}: {answer.text}"


def test_a_stranger_is_turned_away_before_anything_is_read(ask: Any) -> None:
    for operation in guarded():
        for body, content_type in ((b"{nonsense", JSON), (b"x", "text/plain"), (DEEP, JSON), (b"", None)):
            answer = ask(operation, data=body, content_type=content_type, query="?nonsense=1")
            must_be(answer, 401, "AUTHENTICATION_REQUIRED", operation, str(content_type))


@pytest.mark.actor(role="viewer")
def test_whoever_may_not_is_told_so_before_anything_is_read(ask: Any, own: Ids) -> None:
    held = [operation for operation in guarded() if operation.documents(403, "INSUFFICIENT_ROLE")]
    assert len(held) >= 5
    for operation in held:
        answer = ask(operation, own, data=b"{nonsense", content_type=JSON)
        must_be(answer, 403, "INSUFFICIENT_ROLE", operation, "a viewer")


@pytest.mark.actor(platform_admin=True)
def test_what_belongs_to_others_is_as_unknown_as_what_never_was(ask: Any) -> None:
    theirs = ids_of(make_account())
    for operation in with_id():
        body = {"json": operation.example} if operation.takes_body else {}
        foreign, unknown = ask(operation, theirs, **body), ask(operation, UNKNOWN, **body)
        assert foreign.status_code == 404 and foreign.json["code"].endswith("_NOT_FOUND"), operation
        problems = [must_be(answer, 404, answer.json["code"], operation, "") for answer in (foreign, unknown)]
        names = "|".join([*theirs.values(), UNKNOWN])
        told = [
            {name: re.sub(names, "", str(value)) for name, value in problem.items() if name != "requestId"}
            for problem in problems
        ]
        assert told[0] == told[1], operation


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize(
    "odd", ["x", "0", "65f0a1b2c3d4e5f6a7b8c9d", f"{UNKNOWN}0", f"{UNKNOWN}%0A", f"%20{UNKNOWN}", "%00", "%F0%9F%92%A9", "%FF",
            "%7B%22$gt%22:%22%22%7D", "null", "..", "x" * 2000]
)  # fmt: skip
def test_an_id_that_can_be_none_is_as_unknown(ask: Any, odd: str) -> None:
    for operation in with_id():
        body = {"json": operation.example} if operation.takes_body else {}
        answer = ask(operation, odd, **body)
        assert answer.status_code in (404, 405), f"{operation}: {answer.text}"
        refused(answer, answer.status_code)


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"),
        ("0001-01-01T00:00:00%2B23:00", "0001-01-01T12:00:00%2B23:00"),
        ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59.999Z"),
        ("9999-11-30T00:00:00Z", "9999-12-31T23:59:59-23:00"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_first_and_the_last_moments_there_are_break_nothing(
    ask: Any, own: Ids, first: str, last: str, zone: str
) -> None:
    ranged = [operation for operation in operations() if "from" in operation.in_query]
    assert len(ranged) >= 10
    for operation in ranged:
        more = "&format=csv" if operation.in_query.get("format") else ""
        more += f"&timezone={zone}" if "timezone" in operation.in_query else ""
        for query in (f"?from={first}", f"?to={last}", f"?from={first}&to={last}", f"?from={last}&to={last}"):
            answer = ask(operation, own, query + more)
            assert answer.status_code < 500, f"{operation}{query}{more}: {answer.text}"


@pytest.mark.actor(platform_admin=True)
def test_what_has_one_value_is_not_asked_for_twice(ask: Any, own: Ids) -> None:
    """One of the two would count, and nobody be told which."""
    listed = [operation for operation in operations() if "limit" in operation.in_query]
    assert len(listed) >= 10
    for operation in listed:
        for query in ("?limit=1&limit=2", "?limit=1&limit=1"):
            problem = must_be(ask(operation, own, query), 422, "VALIDATION_ERROR", operation, query)
            assert problem["errors"]["limit"] == ["Given more than once."]


def test_who_is_not_known_is_told_how_to_sign_in(client: FlaskClient) -> None:
    """RFC 9110, section 11.6.1."""
    for operation in guarded():
        assert (
            client.open(operation.address(UNKNOWN), method=operation.method).headers["WWW-Authenticate"]
            == "Bearer"
        )
    sent = client.get("/api/devices", headers={"Authorization": "Bearer nonsense"})
    assert sent.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'

"""API keys: what an integration comes with; never more than its owner may, and dead when they are ended."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.auth import api_keys, jobs, standing, uses
from devicehub.core import clock, mongo
from devicehub.core.actor import SCOPES, Role
from devicehub.core.errors import Unauthenticated
from devicehub.core.events import Event
from devicehub.jobs import registry
from devicehub.organizations.models import Organization
from devicehub.reactions import ON
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, bearing, join, make_account, make_api_key, make_device
from tests.web.refusals import refused

PATH = "/api/auth/api-keys"
UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"
NEW = {"name": "Warehouse display", "scopes": ["devices:read", "devices:write"]}
DEVICE = {"name": "Boiler", "type": "sensor"}

ClientOf = Callable[[Account], FlaskClient]


@pytest.fixture
def integration(app: Any) -> FlaskClient:
    """Somebody who comes with nothing but what each request carries."""
    client: FlaskClient = app.test_client()
    return client


def create(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = client.post(PATH, json=NEW | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def set_role(account: Account, role: Role | None) -> None:
    """What an organization's admin does: give a member another role, or none any more."""
    chosen = Organization.objects(id=ObjectId(account.actor.organization_id))
    if role is None:
        chosen.update_one(pull__members__user_id=ObjectId(account.actor.user_id))
    else:
        chosen.filter(members__user_id=ObjectId(account.actor.user_id)).update_one(set__members__S__role=role)
    standing.forget_user(account.actor.user_id)


def test_anonymous_is_turned_away_everywhere(client: FlaskClient) -> None:
    for answer in (
        client.get(PATH),
        client.post(PATH, json=NEW),
        client.patch(f"{PATH}/{UNKNOWN}", json={}),
        client.delete(f"{PATH}/{UNKNOWN}"),
    ):
        refused(answer, 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_anothers_key_is_unknown_a_colleagues_too(client: FlaskClient, client_of: ClientOf, actor: Any) -> None:
    colleague = make_account(role="admin", organization_id=actor.organization_id)
    for other in (make_account(), colleague):
        key_id = create(client_of(other))["id"]
        refused(client.patch(f"{PATH}/{key_id}", json={"name": "Mine"}), 404, "API_KEY_NOT_FOUND")
        refused(client.delete(f"{PATH}/{key_id}"), 404, "API_KEY_NOT_FOUND")
    assert client.get(PATH).json["items"] == []


@pytest.mark.actor()
def test_its_secret_is_told_once_and_kept_nowhere(client: FlaskClient, actor: Any) -> None:
    made = create(client, expiresAt="2099-01-31T12:00:00Z")
    prefix, key_id, secret = made.pop("key").split("_", 2)
    assert (prefix, key_id, len(secret)) == ("dhk", made["id"], 43)
    pagination = {"page": 1, "limit": 20, "total": 1, "pages": 1, "hasNext": False, "hasPrev": False}
    assert client.get(PATH).json == {"items": [made], "pagination": pagination}
    assert made | {"id": "", "createdAt": ""} == {
        "id": "",
        "prefix": f"dhk_{key_id}",
        "name": "Warehouse display",
        "scopes": ["devices:read", "devices:write"],
        "active": True,
        "organizationId": actor.organization_id,
        "createdAt": "",
        "expiresAt": "2099-01-31T12:00:00.000Z",
        "lastUsedAt": None,
    }
    db = mongo.database()
    assert secret not in "".join(str(list(db[name].find())) for name in db.list_collection_names())


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("scopes", []),
        ("scopes", ["everything"]),
        ("scopes", "devices:read"),
        ("expiresAt", "tomorrow"),
        ("active", False),
        ("userId", UNKNOWN),
    ],
)
def test_a_field_against_the_rules_is_refused_by_name(client: FlaskClient, field: str, value: Any) -> None:
    assert list(refused(client.post(PATH, json=NEW | {field: value}), 422)["errors"]) == [field]


@pytest.mark.actor()
@pytest.mark.parametrize("value", ["true", 1, 0, "", None, []])
def test_what_merely_looks_true_switches_nothing(client: FlaskClient, value: Any) -> None:
    path = f"{PATH}/{create(client)['id']}"
    assert list(refused(client.patch(path, json={"active": value}), 422)["errors"]) == ["active"]


@pytest.mark.actor()
def test_it_acts_for_its_owner_in_either_header(client: FlaskClient, integration: FlaskClient, actor: Any) -> None:
    key = create(client)["key"]
    for headers in ({"X-API-Key": key}, bearing(key)):
        made = integration.post("/api/devices", json=DEVICE, headers=headers)
        assert (made.status_code, made.json["ownerId"]) == (201, actor.user_id)
        assert integration.get(made.headers["Location"], headers=headers).status_code == 200


@pytest.mark.actor()
def test_two_who_claim_one_request_are_both_refused(
    account: Account, client: FlaskClient, integration: FlaskClient
) -> None:
    key = create(client)["key"]
    for authorization in (account.headers, bearing(key), {"Authorization": "Basic x"}, {"Authorization": ""}):
        refused(integration.get("/api/devices", headers={"X-API-Key": key, **authorization}), 401, "INVALID_TOKEN")


@pytest.mark.actor()
def test_only_an_api_key_stands_in_the_header_of_api_keys(account: Account, integration: FlaskClient) -> None:
    for other in (account.access_token, account.refresh_token, "", "x"):
        refused(integration.get("/api/devices", headers={"X-API-Key": other}), 401, "INVALID_TOKEN")


@pytest.mark.actor()
@pytest.mark.parametrize("place", [5, 30, 71])
def test_one_letter_off_is_no_key(client: FlaskClient, integration: FlaskClient, place: int) -> None:
    key = create(client)["key"]
    other = "a" if key[place] != "a" else "b"
    spoilt = key[:place] + other + key[place + 1 :]
    refused(integration.get("/api/devices", headers=bearing(spoilt)), 401, "INVALID_TOKEN")


@pytest.mark.actor()
def test_it_does_what_its_scopes_name_and_no_more(client: FlaskClient, integration: FlaskClient) -> None:
    headers = bearing(create(client, scopes=["devices:read"])["key"])
    assert integration.get("/api/devices", headers=headers).status_code == 200
    problem = refused(integration.post("/api/devices", json=DEVICE, headers=headers), 403, "INSUFFICIENT_SCOPE")
    assert "devices:write" in problem["detail"]


@pytest.mark.actor()
def test_with_every_scope_it_still_manages_no_account(client: FlaskClient, integration: FlaskClient) -> None:
    headers, own = bearing(create(client, scopes=list(SCOPES))["key"]), create(client)["id"]
    for method, path in (
        ("get", PATH),
        ("post", PATH),
        ("patch", f"{PATH}/{own}"),
        ("delete", f"{PATH}/{own}"),
        ("post", "/api/auth/logout-all"),
        ("post", "/api/auth/revoke"),
        ("get", "/api/users/profile"),
        ("patch", "/api/users/profile"),
    ):
        refused(getattr(integration, method)(path, headers=headers), 403, "FORBIDDEN")


def test_it_may_no_more_than_its_owner_may_now(client_of: ClientOf, integration: FlaskClient) -> None:
    ada = make_account(role="operator")
    headers = bearing(create(client_of(ada))["key"])
    assert integration.post("/api/devices", json=DEVICE, headers=headers).status_code == 201
    set_role(ada, "viewer")
    refused(integration.post("/api/devices", json=DEVICE, headers=headers), 403, "INSUFFICIENT_ROLE")
    assert integration.get("/api/devices", headers=headers).status_code == 200
    set_role(ada, "admin")
    assert integration.post("/api/devices", json=DEVICE, headers=headers).status_code == 201


def test_it_is_refused_from_the_moment_its_owner_leaves_and_stays_so(
    client_of: ClientOf, integration: FlaskClient
) -> None:
    ada = make_account(role="operator")
    headers = bearing(create(client_of(ada))["key"])
    assert integration.get("/api/devices", headers=headers).status_code == 200
    set_role(ada, None)
    refused(integration.get("/api/devices", headers=headers), 401, "TOKEN_REVOKED")
    assert "auth.end_api_keys" in ON["member.removed"]
    arguments = {"user_id": ada.actor.user_id, "organization_id": ada.actor.organization_id, "role": "operator"}
    context: Any = SimpleNamespace(arguments=arguments, actor=None)
    assert registry.registered("auth.end_api_keys").work is jobs.end_api_keys
    assert jobs.end_api_keys(context) == {"ended": 1}
    join(ada, ada.actor.organization_id, role="operator")
    refused(integration.get("/api/devices", headers=headers), 401, "TOKEN_REVOKED")


def test_it_stays_in_the_organization_it_was_made_in(client_of: ClientOf, integration: FlaskClient) -> None:
    ada, other = make_account(), make_account()
    device_id = make_device(other.actor)["id"]
    join(ada, other.actor.organization_id, role="admin")
    headers = bearing(create(client_of(ada))["key"])
    refused(integration.get(f"/api/devices/{device_id}", headers=headers), 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor()
def test_one_that_is_revoked_has_gone_for_good(client: FlaskClient, integration: FlaskClient) -> None:
    made = create(client)
    headers, path = bearing(made["key"]), f"{PATH}/{made['id']}"
    assert integration.get("/api/devices", headers=headers).status_code == 200
    assert client.delete(path).status_code == 204
    refused(integration.get("/api/devices", headers=headers), 401, "TOKEN_REVOKED")
    for answer in (client.delete(path), client.patch(path, json={"active": True})):
        refused(answer, 404, "API_KEY_NOT_FOUND")
    assert client.get(PATH).json["items"] == []


@pytest.mark.actor()
def test_one_that_is_switched_off_can_be_switched_on_again(client: FlaskClient, integration: FlaskClient) -> None:
    made = create(client)
    headers, path = bearing(made["key"]), f"{PATH}/{made['id']}"
    assert client.patch(path, json={"active": False}).json["active"] is False
    refused(integration.get("/api/devices", headers=headers), 401, "TOKEN_REVOKED")
    assert client.patch(path, json={"active": True}).json["active"] is True
    assert integration.get("/api/devices", headers=headers).status_code == 200


@pytest.mark.actor()
def test_one_whose_time_is_over_is_expired(
    client: FlaskClient, integration: FlaskClient, clock: Callable[[float], None]
) -> None:
    headers = bearing(create(client, expiresAt="2099-01-31T12:00:00Z")["key"])
    assert integration.get("/api/devices", headers=headers).status_code == 200
    clock(100 * 365 * 86_400)
    refused(integration.get("/api/devices", headers=headers), 401, "TOKEN_EXPIRED")


@pytest.mark.actor()
@pytest.mark.parametrize("moment", ["2001-01-31T12:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_time_that_is_over_ends_it_now_and_none_lets_it_live(
    client: FlaskClient, integration: FlaskClient, moment: str
) -> None:
    made = create(client)
    headers, path = bearing(made["key"]), f"{PATH}/{made['id']}"
    assert client.patch(path, json={"expiresAt": moment}).status_code == 200
    refused(integration.get("/api/devices", headers=headers), 401, "TOKEN_EXPIRED")
    assert client.patch(path, json={"expiresAt": None}).json["expiresAt"] is None
    assert integration.get("/api/devices", headers=headers).status_code == 200


@pytest.mark.actor()
def test_a_change_holds_from_the_next_request_on(client: FlaskClient, integration: FlaskClient) -> None:
    made = create(client, scopes=["devices:read"])
    headers, path = bearing(made["key"]), f"{PATH}/{made['id']}"
    assert integration.post("/api/devices", json=DEVICE, headers=headers).status_code == 403
    wider = {"scopes": ["devices:write", "devices:read", "devices:read"], "name": "Wider"}
    changed = client.patch(path, json=wider).json
    assert (changed["name"], changed["scopes"]) == ("Wider", ["devices:read", "devices:write"])
    assert integration.post("/api/devices", json=DEVICE, headers=headers).status_code == 201
    assert client.patch(path, json={}).json | {"lastUsedAt": None} == changed


def test_a_twenty_first_has_to_wait_until_one_is_revoked_however_many_ask(
    live_server: LiveServer, app: Any
) -> None:
    ada = make_account()
    made = [api_keys.create(ada.actor, name="One", scopes=["devices:read"])[0] for _ in range(17)]
    with httpx.Client(headers=ada.headers, timeout=30) as http, ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: http.post(live_server.url + PATH, json=NEW), range(8)))
        assert Counter(answer.status_code for answer in answers) == {201: 3, 409: 5}
        assert http.get(live_server.url + PATH).json()["pagination"]["total"] == 20
        assert http.delete(f"{live_server.url}{PATH}/{made[0].id}").status_code == 204
        assert http.post(live_server.url + PATH, json=NEW).status_code == 201
        refused(http.post(live_server.url + PATH, json=NEW), 409, "CONFLICT")


def test_one_that_is_revoked_or_changed_in_one_process_is_so_in_all_at_once(
    live_server: LiveServer, app: Any, integration: FlaskClient
) -> None:
    ada = make_account()
    key, text = api_keys.create(ada.actor, name="One", scopes=["devices:read"])
    path = f"{live_server.url}{PATH}/{key.id}"

    def codes() -> list[int]:
        there = httpx.get(f"{live_server.url}/api/devices", headers=bearing(text))
        return [there.status_code, integration.get("/api/devices", headers=bearing(text)).status_code]

    assert codes() == [200, 200]
    assert httpx.patch(path, json={"scopes": ["events:read"]}, headers=ada.headers).status_code == 200
    assert codes() == [403, 403]
    assert httpx.delete(path, headers=ada.headers).status_code == 204
    assert codes() == [401, 401]


@pytest.mark.actor()
def test_without_redis_keys_are_good_and_revoked_ones_are_not(
    client: FlaskClient, integration: FlaskClient, servers: Servers
) -> None:
    made = create(client)
    headers = bearing(made["key"])
    servers.redis.stop()
    try:
        assert integration.get("/api/devices", headers=headers).status_code == 200
        assert client.delete(f"{PATH}/{made['id']}").status_code == 204
        refused(integration.get("/api/devices", headers=headers), 401, "TOKEN_REVOKED")
    finally:
        servers.restart_redis()
    wait_until(lambda: client.get("/health").json["dependencies"]["redis"] == "connected")


@pytest.mark.actor()
def test_one_that_would_be_dead_from_the_start_is_not_made(client: FlaskClient) -> None:
    for past in ("2001-01-31T12:00:00Z", clock.rfc3339(clock.now())):
        problem = refused(client.post(PATH, json=NEW | {"expiresAt": past}), 422, "VALIDATION_ERROR")
        assert list(problem["errors"]) == ["expiresAt"]


@pytest.mark.actor()
def test_its_last_use_is_noted_and_refusals_are_no_use(client: FlaskClient, integration: FlaskClient) -> None:
    used, refused_one = create(client), create(client)
    past = {"expiresAt": "2001-01-31T12:00:00Z"}
    assert client.patch(f"{PATH}/{refused_one['id']}", json=past).status_code == 200
    for made in (used, refused_one):
        integration.get("/api/devices", headers=bearing(made["key"]))
    uses.write()
    last_uses = {shown["id"]: shown["lastUsedAt"] for shown in client.get(PATH).json["items"]}
    assert last_uses[used["id"]] is not None
    assert last_uses[refused_one["id"]] is None


@pytest.mark.actor()
def test_a_connection_that_outlives_a_request_is_asked_again(account: Account) -> None:
    key, text = api_keys.create(account.actor, name="One", scopes=["events:read"])
    actor = api_keys.identify(text)
    api_keys.confirm(actor)
    api_keys.update(account.actor, str(key.id), {"scopes": ["devices:read"]})
    with pytest.raises(Unauthenticated, match="rights have changed"):
        api_keys.confirm(actor)
    api_keys.update(account.actor, str(key.id), {"scopes": ["events:read"]})
    set_role(account, "viewer")
    with pytest.raises(Unauthenticated, match="rights have changed"):
        api_keys.confirm(actor)
    api_keys.revoke(account.actor, str(key.id))
    with pytest.raises(Unauthenticated, match="revoked"):
        api_keys.confirm(actor)


@pytest.mark.actor()
def test_what_happens_to_it_is_told_without_it(client: FlaskClient, told: list[Event]) -> None:
    made = create(client)
    client.patch(f"{PATH}/{made['id']}", json={})
    client.patch(f"{PATH}/{made['id']}", json={"name": "Another"})
    client.delete(f"{PATH}/{made['id']}")
    assert [(event.name, event.data) for event in told] == [
        (f"api_key.{act}", {"key_id": made["id"]}) for act in ("created", "updated", "revoked")
    ]


@pytest.mark.actor()
def test_its_idempotency_keys_are_its_own(client: FlaskClient, integration: FlaskClient, account: Account) -> None:
    one, other = make_api_key(account.actor), make_api_key(account.actor)
    for headers in (bearing(one), bearing(other), account.headers):
        answer = integration.post("/api/devices", json=DEVICE, headers={"Idempotency-Key": "k1", **headers})
        assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (201, False)

"""A device's own keys: made by people, told once, good for that device alone, and dead when they are revoked."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.auth import uses
from devicehub.core import mongo, redis
from devicehub.core.events import Event
from devicehub.devices import jobs, keys
from devicehub.devices import service as devices
from devicehub.devices.models import DeviceKey
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, bearing, make_account, make_api_key, make_device, make_device_key
from tests.jobs.inline import run_due_jobs
from tests.web.refusals import refused

UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"
NEW = {"name": "Boiler", "type": "sensor"}

ClientOf = Callable[[Account], FlaskClient]
Using = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def device_id(account: Account) -> str:
    return str(make_device(account.actor)["id"])


@pytest.fixture
def beat(app: Any) -> Callable[..., Any]:
    """Send the heartbeat of a device with a key."""
    stranger = app.test_client()
    return lambda key, device_id: stranger.post(f"/api/devices/{device_id}/heartbeat", headers=bearing(key))


def key_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def test_anonymous_is_turned_away_everywhere(client: FlaskClient) -> None:
    path = f"/api/devices/{UNKNOWN}/keys"
    for answer in (client.get(path), client.post(path), client.delete(f"{path}/{UNKNOWN}")):
        refused(answer, 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_another_organizations_device_has_no_keys_and_its_keys_are_no_ones_else(
    client: FlaskClient, device_id: str
) -> None:
    stranger = make_account().actor
    theirs = make_device(stranger)["id"]
    their_key, _ = keys.create(stranger, theirs)
    for answer in (
        client.get(f"/api/devices/{theirs}/keys"),
        client.post(f"/api/devices/{theirs}/keys"),
        client.delete(f"/api/devices/{theirs}/keys/{their_key.id}"),
    ):
        refused(answer, 404, "DEVICE_NOT_FOUND")
    for key_id in (their_key.id, UNKNOWN, "x"):
        refused(client.delete(f"/api/devices/{device_id}/keys/{key_id}"), 404, "DEVICE_KEY_NOT_FOUND")
    assert DeviceKey.objects(id=their_key.id).first().revoked_at is None


@pytest.mark.actor()
def test_a_key_of_one_device_is_not_revoked_through_another(client: FlaskClient, device_id: str) -> None:
    key = key_of(client.post(f"/api/devices/{device_id}/keys"))
    other = key_of(client.post("/api/devices", json=NEW))["id"]
    refused(client.delete(f"/api/devices/{other}/keys/{key['id']}"), 404, "DEVICE_KEY_NOT_FOUND")


def test_an_operator_has_the_keys_of_own_devices_only_and_an_admin_those_of_any(client_of: ClientOf) -> None:
    owner = make_account()
    organization_id = owner.actor.organization_id
    viewer, operator, admin = (
        make_account(role=role, organization_id=organization_id) for role in ("viewer", "operator", "admin")
    )
    theirs, own = make_device(owner.actor)["id"], make_device(operator.actor)["id"]
    for method in ("get", "post"):
        ask = getattr(client_of(operator), method)
        refused(ask(f"/api/devices/{theirs}/keys"), 403, "FORBIDDEN")
        assert ask(f"/api/devices/{own}/keys").status_code < 300
        assert getattr(client_of(admin), method)(f"/api/devices/{own}/keys").status_code < 300
        refused(getattr(client_of(viewer), method)(f"/api/devices/{own}/keys"), 403, "INSUFFICIENT_ROLE")
    [key, _] = client_of(operator).get(f"/api/devices/{own}/keys").json["items"]
    assert key["createdBy"] == admin.actor.user_id
    assert client_of(admin).delete(f"/api/devices/{own}/keys/{key['id']}").status_code == 204


@pytest.mark.actor()
def test_its_secret_is_told_once_and_kept_nowhere(client: FlaskClient, actor: Any, device_id: str) -> None:
    made = key_of(client.post(f"/api/devices/{device_id}/keys"))
    prefix, key_id, secret = made.pop("key").split("_", 2)
    assert (prefix, key_id, len(secret)) == ("dhd", made["id"], 43)
    pagination = {"page": 1, "limit": 20, "total": 1, "pages": 1, "hasNext": False, "hasPrev": False}
    assert client.get(f"/api/devices/{device_id}/keys").json == {"items": [made], "pagination": pagination}
    assert made == {
        "id": key_id,
        "prefix": f"dhd_{key_id}",
        "createdBy": actor.user_id,
        "createdAt": made["createdAt"],
        "lastUsedAt": None,
    }
    db = mongo.database()
    assert secret not in "".join(str(list(db[name].find())) for name in db.list_collection_names())


@pytest.mark.actor()
def test_with_it_a_device_beats_and_reads_itself(client: FlaskClient, beat: Any, device_id: str) -> None:
    key = key_of(client.post(f"/api/devices/{device_id}/keys"))["key"]
    answer = beat(key, device_id)
    assert (answer.status_code, answer.json["presence"]) == (200, "online")
    assert beat(key, device_id.upper()).status_code == 200
    assert client.get(f"/api/devices/{device_id}", headers=bearing(key)).json["presence"] == "online"


@pytest.mark.actor()
def test_every_other_device_is_unknown_to_it_cached_or_not(
    client: FlaskClient, actor: Any, beat: Any, device_id: str
) -> None:
    key = make_device_key(actor, device_id)
    sibling, foreign = make_device(actor)["id"], make_device(make_account().actor)["id"]
    assert client.get(f"/api/devices/{sibling}").status_code == 200  # and it is in the cache now
    for other in (sibling, foreign, UNKNOWN):
        refused(beat(key, other), 404, "DEVICE_NOT_FOUND")
        refused(client.get(f"/api/devices/{other}", headers=bearing(key)), 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor()
def test_in_a_batch_of_beats_too_it_speaks_for_its_own_device_only(
    client: FlaskClient, app: Any, actor: Any, device_id: str
) -> None:
    sibling = make_device(actor)["id"]
    batch = {"heartbeats": [{"deviceId": sibling}, {"deviceId": device_id.upper()}]}
    key = make_device_key(actor, device_id)
    answer = app.test_client().post("/api/devices/heartbeats", json=batch, headers=bearing(key))
    assert (answer.json["accepted"], answer.json["rejected"]) == (1, 1)
    other, own = answer.json["items"]
    assert (other["status"], other["error"]["code"]) == (404, "DEVICE_NOT_FOUND")
    assert own["heartbeat"]["deviceId"] == device_id
    assert client.get(f"/api/devices/{sibling}").json["presence"] == "never_seen"


@pytest.mark.actor()
def test_the_explanation_of_presence_names_the_key_a_signal_came_with(
    client: FlaskClient, app: Any, actor: Any, device_id: str
) -> None:
    path, stranger = f"/api/devices/{device_id}", app.test_client()
    key, text = keys.create(actor, device_id)
    api_key = make_api_key(actor, "heartbeats:write")
    for credential, by, key_id in (
        (text, device_id, str(key.id)),
        (api_key, actor.user_id, api_key.split("_")[1]),
    ):
        assert stranger.post(f"{path}/heartbeat", headers=bearing(credential)).status_code == 200
        signal = client.get(f"{path}/presence").json["lastSignal"]
        assert (signal["kind"], signal["by"], signal["keyId"]) == ("heartbeat", by, key_id)
    [change] = client.get(f"{path}/presence/history").json["items"]
    assert change["cause"] == {"kind": "heartbeat", "by": device_id, "keyId": str(key.id)}


@pytest.mark.actor()
def test_whoever_reads_a_device_is_no_sign_of_its_life(
    client: FlaskClient, app: Any, actor: Any, beat: Any, device_id: str, clock: Callable[[float], None]
) -> None:
    path, key = f"/api/devices/{device_id}", make_device_key(actor, device_id)
    heard_at = beat(key, device_id).json["lastActiveAt"]
    clock(5)
    for headers in (bearing(key), bearing(make_api_key(actor, "devices:read"))):
        assert app.test_client().get(path, headers=headers).status_code == 200
    assert client.get(path).json["lastActiveAt"] == heard_at
    assert client.get(f"{path}/presence").json["lastSignal"]["at"] == heard_at


@pytest.mark.actor()
def test_nothing_else_is_done_with_it(client: FlaskClient, actor: Any, device_id: str) -> None:
    headers = bearing(make_device_key(actor, device_id))
    for method, path in (
        ("get", "/api/devices"),
        ("post", "/api/devices"),
        ("patch", f"/api/devices/{device_id}"),
        ("delete", f"/api/devices/{device_id}"),
        ("get", f"/api/devices/{device_id}/keys"),
        ("post", f"/api/devices/{device_id}/keys"),
        ("get", "/api/users/profile"),
        ("get", "/api/auth/api-keys"),
        ("get", "/api/sse/events"),
    ):
        refused(getattr(client, method)(path, headers=headers), 403, "FORBIDDEN")


@pytest.mark.actor()
@pytest.mark.parametrize(
    "spoil",
    [
        lambda key, other: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key, other: key[:28] + other[28:],
        lambda key, other: key.replace(key[4:28], UNKNOWN),
        lambda key, other: key.replace("dhd_", "dhk_"),
        lambda key, other: key.upper(),
        lambda key, other: key + "A",
        lambda key, other: key[:28],
        lambda key, other: "dhd_",
        lambda key, other: "dhd__",
        lambda key, other: f"dhd_{'x' * 24}_{key[29:]}",
        lambda key, other: f"dhd_{key[4:28]}_\xe9{key[30:]}",
    ],
)
def test_what_is_nearly_a_key_is_none(beat: Any, actor: Any, device_id: str, spoil: Any) -> None:
    key, other = make_device_key(actor, device_id), make_device_key(actor, device_id)
    for _ in range(2):  # before Redis remembers the key, and when it does
        refused(beat(spoil(key, other), device_id), 401, "INVALID_TOKEN")
        assert beat(key, device_id).status_code == 200


@pytest.mark.actor()
def test_it_is_read_as_a_bearer_token_only(client: FlaskClient, app: Any, actor: Any, device_id: str) -> None:
    key, path = make_device_key(actor, device_id), f"/api/devices/{device_id}"
    stranger = app.test_client()
    refused(stranger.get(path, headers={"X-API-Key": key}), 401, "INVALID_TOKEN")
    refused(stranger.get(path, headers={"X-API-Key": make_api_key(actor), **bearing(key)}), 401, "INVALID_TOKEN")
    refused(stranger.get(f"/api/sse/events?token={key}"), 401, "INVALID_TOKEN")


@pytest.mark.actor()
def test_a_fourth_has_to_wait_until_one_is_revoked(client: FlaskClient, device_id: str, beat: Any) -> None:
    path = f"/api/devices/{device_id}/keys"
    first, *_ = [key_of(client.post(path)) for _ in range(3)]
    refused(client.post(path), 409, "CONFLICT")
    assert client.delete(f"{path}/{first['id']}").status_code == 204
    refused(client.delete(f"{path}/{first['id']}"), 404, "DEVICE_KEY_NOT_FOUND")
    fourth = key_of(client.post(path))
    assert client.get(path).json["pagination"]["total"] == 3
    refused(beat(first["key"], device_id), 401, "TOKEN_REVOKED")
    assert beat(fourth["key"], device_id).status_code == 200


def test_of_many_asked_for_at_once_exactly_three_are_made(live_server: LiveServer, app: Any) -> None:
    ada = make_account()
    path = f"{live_server.url}/api/devices/{make_device(ada.actor)['id']}/keys"
    with httpx.Client(headers=ada.headers, timeout=30) as http, ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: http.post(path), range(8)))
        assert Counter(answer.status_code for answer in answers) == {201: 3, 409: 5}
        assert http.get(path).json()["pagination"]["total"] == 3


def test_one_that_is_revoked_in_one_process_is_refused_in_all_at_once(
    live_server: LiveServer, app: Any, beat: Any
) -> None:
    ada = make_account()
    device_id = make_device(ada.actor)["id"]
    key, text = keys.create(ada.actor, device_id)
    path = f"{live_server.url}/api/devices/{device_id}"
    with httpx.Client(headers=bearing(text)) as http:
        assert http.get(path).status_code == beat(text, device_id).status_code == 200  # both know it well
        revoked = httpx.delete(f"{path}/keys/{key.id}", headers=ada.headers)
        assert revoked.status_code == 204
        refused(beat(text, device_id), 401, "TOKEN_REVOKED")
        refused(http.get(path), 401, "TOKEN_REVOKED")


@pytest.mark.actor()
def test_a_revocation_that_redis_did_not_hear_of_holds_within_thirty_seconds(
    beat: Any, actor: Any, device_id: str
) -> None:
    key, text = keys.create(actor, device_id)
    name, client = f"key:{key.prefix}", redis.current().client
    assert beat(text, device_id).status_code == 200
    DeviceKey.objects(id=key.id).update_one(set__revoked_at=key.created_at, unset__slot=True)
    assert 0 < client.pttl(name) <= 30_000
    client.pexpire(name, 1)  # thirty seconds later
    wait_until(lambda: beat(text, device_id).status_code == 401)


@pytest.mark.actor()
def test_without_redis_keys_are_good_and_revoked_ones_are_not(
    client: FlaskClient, servers: Servers, beat: Any, actor: Any, device_id: str
) -> None:
    key, text = keys.create(actor, device_id)
    servers.redis.stop()
    try:
        assert beat(text, device_id).status_code == 200
        assert client.delete(f"/api/devices/{device_id}/keys/{key.id}").status_code == 204
        refused(beat(text, device_id), 401, "TOKEN_REVOKED")
    finally:
        servers.restart_redis()
    wait_until(redis.current().is_alive)
    refused(beat(text, device_id), 401, "TOKEN_REVOKED")


@pytest.mark.actor()
def test_its_last_use_is_noted_to_the_minute(
    client: FlaskClient, clock: Callable[[float], None], beat: Any, actor: Any, device_id: str
) -> None:
    key = make_device_key(actor, device_id)

    def last_used() -> str | None:
        uses.write()
        [shown] = client.get(f"/api/devices/{device_id}/keys").json["items"]
        told: str | None = shown["lastUsedAt"]
        return told

    assert last_used() is None
    beat(key, device_id)
    first = last_used()
    assert first is not None
    clock(30)
    beat(key, device_id)
    assert last_used() == first
    clock(31)
    beat(key, device_id)
    assert last_used() not in (None, first)


@pytest.mark.actor()
def test_what_happens_to_it_is_told_without_it(
    client: FlaskClient, actor: Any, device_id: str, told: list[Event]
) -> None:
    key = key_of(client.post(f"/api/devices/{device_id}/keys"))
    client.delete(f"/api/devices/{device_id}/keys/{key['id']}")
    facts = {"key_id": key["id"], "device_id": device_id}
    assert [(event.name, event.data) for event in told] == [
        ("device_key.created", facts),
        ("device_key.revoked", facts),
    ]


@pytest.mark.actor()
def test_a_batch_gives_each_new_device_its_key_once(client: FlaskClient, beat: Any) -> None:
    batch = {"devices": [NEW, {"name": "x"}, NEW], "issueKeys": True}
    answers = [client.post("/api/devices/batch", json=batch, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    first, replayed = (answer.json for answer in answers)
    assert (first["created"], first["failed"]) == (2, 1)
    assert "key" not in first["items"][1]
    for item in (first["items"][0], first["items"][2]):
        assert beat(item.pop("key"), item["device"]["id"]).status_code == 200
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert replayed == first  # but for the keys, which are gone from it by now
    assert len(DeviceKey.objects) == 2
    kept = mongo.database()["idempotency_keys"].find_one()
    assert kept is not None and b"dhd_" not in bytes(kept["answer"]["body"])


@pytest.mark.actor()
def test_a_batch_gives_no_keys_unless_it_is_asked_to(client: FlaskClient) -> None:
    answer = client.post("/api/devices/batch", json={"devices": [NEW]})
    assert "key" not in answer.json["items"][0]
    assert len(DeviceKey.objects) == 0


@pytest.mark.actor()
def test_keys_make_no_keys(client: FlaskClient, actor: Any, device_id: str) -> None:
    headers = bearing(make_api_key(actor))
    batch = {"devices": [NEW], "issueKeys": True}
    refused(client.post("/api/devices/batch", json=batch, headers=headers), 403, "FORBIDDEN")
    refused(client.post(f"/api/devices/{device_id}/keys", headers=headers), 403, "FORBIDDEN")
    assert client.get("/api/devices").json["pagination"]["total"] == 1
    assert len(DeviceKey.objects) == 0


@pytest.mark.actor()
def test_a_batch_begun_anew_gives_keys_while_there_are_places(actor: Any, device_id: str) -> None:
    """Who died between making keys and telling them is followed by one that makes others."""
    other = make_device(actor)["id"]
    made = [keys.create_many(actor, [device_id, other]) for _ in range(3)]
    assert [set(one) for one in made] == [{device_id, other}] * 3
    assert len({key for one in made for key in one.values()}) == 6
    assert keys.create_many(actor, [device_id]) == {}


@pytest.mark.actor()
def test_when_its_device_goes_it_is_dead_at_once_and_removed_in_the_background(
    client: FlaskClient, account: Account, beat: Any, device_id: str
) -> None:
    actor = account.actor
    made = [make_device_key(actor, device_id) for _ in range(2)]
    sibling = make_device(actor)["id"]
    kept = make_device_key(actor, sibling)
    for key in made:
        assert beat(key, device_id).status_code == 200
    assert client.delete(f"/api/devices/{device_id}").status_code == 204
    for key in made:
        refused(beat(key, device_id), 401, "TOKEN_REVOKED")
    [purge] = run_due_jobs("devices.purge")
    assert (purge.status, purge.result) == ("completed", {"credentials": 2, "presenceChanges": 1})
    for key in made:
        refused(beat(key, device_id), 401, "INVALID_TOKEN")
    assert beat(kept, sibling).status_code == 200
    trail = client.get(f"/api/organizations/{actor.organization_id}/audit?action=device.purged").json["items"]
    assert [(one["target"], one["changes"]) for one in trail] == [(device_id, purge.result)]


@pytest.mark.actor()
def test_who_deleted_a_device_may_have_left_and_the_job_be_done_twice(actor: Any, device_id: str) -> None:
    make_device_key(actor, device_id)
    devices.delete(actor, device_id)
    gone = {"device_id": device_id, "organization_id": actor.organization_id}
    context: Any = SimpleNamespace(arguments=gone, actor=None, check=lambda: None)
    assert [jobs.purge(context) for _ in range(2)] == [
        {"credentials": 1, "presenceChanges": 0},
        {"credentials": 0, "presenceChanges": 0},
    ]
    assert len(DeviceKey.objects) == 0


@pytest.mark.actor()
def test_no_key_outlives_a_device_that_is_deleted_while_it_is_made(
    actor: Any, device_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = keys.keys.insert

    def too_late(*args: Any, **kwargs: Any) -> None:
        keys.Device.objects(id=ObjectId(device_id)).delete()
        insert(*args, **kwargs)

    monkeypatch.setattr(keys.keys, "insert", too_late)
    with pytest.raises(keys.DeviceNotFound):
        keys.create(actor, device_id)
    assert len(DeviceKey.objects) == 0


@pytest.mark.actor()
def test_each_key_has_the_limit_of_its_own(beat: Any, using: Using, actor: Any, device_id: str) -> None:
    one, other = make_device_key(actor, device_id), make_device_key(actor, device_id)
    with using(ingest_rate_limit="2 per minute"):
        assert [beat(one, device_id).status_code for _ in range(3)] == [200, 200, 429]
        assert beat(other, device_id).status_code == 200


@pytest.mark.actor()
def test_guessing_is_held_back_by_address_whatever_device_is_tried(
    beat: Any, using: Using, actor: Any, device_id: str
) -> None:
    key = make_device_key(actor, device_id)
    with using(general_rate_limit="3 per minute"):
        guesses = [beat(f"{key[:-5]}{n:05d}", f"{n:024x}") for n in range(4)]
        assert [answer.status_code for answer in guesses] == [401, 401, 401, 429]
        assert beat(key, device_id).status_code == 200  # who knows it is counted by it

"""`Idempotency-Key`: done once, answered alike, whoever dies or sleeps in between."""

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from devicehub.core import events, mongo
from devicehub.core.config import Settings
from devicehub.core.events import Event
from devicehub.devices.models import Device
from tests.conftest import LiveServer, Servers, named, wait_until
from tests.factories import Account, make_account, make_schedule
from tests.nursery import Nursery
from tests.web.refusals import refused

NEW = {"name": "Boiler", "type": "sensor"}
DAY = 86_400


def create(client: FlaskClient, key: str = "k1", **fields: Any) -> Any:
    return client.post("/api/devices", json=NEW | fields, headers={"Idempotency-Key": key})


@pytest.mark.actor()
def test_of_two_things_the_same_may_be_asked_under_one_key(client: FlaskClient, account: Account) -> None:
    asked = [
        client.post(
            f"/api/reports/schedules/{make_schedule(account.actor)}/run", headers={"Idempotency-Key": "k1"}
        )
        for _ in range(2)
    ]
    assert asked[0].json["scheduleId"] != asked[1].json["scheduleId"]
    assert "Idempotent-Replayed" not in asked[1].headers


@pytest.mark.actor()
def test_the_same_request_is_done_once_and_answered_alike(client: FlaskClient, told: list[Event]) -> None:
    first, second = create(client), create(client)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    for header in ("Location", "Content-Type"):
        assert first.headers[header] == second.headers[header]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert len(Device.objects) == 1
    assert [event.name for event in told] == ["device.created"]


@pytest.mark.actor()
def test_a_batch_is_done_once_too(client: FlaskClient) -> None:
    batch = {"devices": [NEW, NEW | {"serialNumber": "S1"}, {"name": "x"}]}
    answers = [client.post("/api/devices/batch", json=batch, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    assert answers[0].data == answers[1].data
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert len(Device.objects) == 2


@pytest.mark.actor()
def test_without_a_key_every_request_is_another(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.post("/api/devices", json=NEW).status_code == 201
    assert len(Device.objects) == 2


@pytest.mark.actor()
def test_a_key_stands_for_one_body(client: FlaskClient) -> None:
    create(client)
    refused(create(client, name="Another"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert create(client).headers["Idempotent-Replayed"] == "true"
    assert len(Device.objects) == 1


@pytest.mark.actor()
@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256, "ümlaut", "tab\there"])
def test_a_key_is_up_to_255_visible_characters(client: FlaskClient, key: str) -> None:
    problem = refused(create(client, key), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["Idempotency-Key"]
    assert create(client, "~" * 255).status_code == 201


@pytest.fixture
def slow_sink(app: Any) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold the first who made a device until the second of these is set; the first says that they are held."""
    reached, go_on = threading.Event(), threading.Event()
    before = list(events._sinks)

    def hold(event: Event) -> None:
        if event.name == "device.created" and not reached.is_set():
            reached.set()
            go_on.wait(10)

    events.attach(*before, hold)
    yield reached, go_on
    go_on.set()
    events.attach(*before)


def test_a_twin_that_still_runs_is_waited_for_elsewhere(client_of: Any, slow_sink: Any) -> None:
    reached, go_on = slow_sink
    ada = make_account()
    with ThreadPoolExecutor(1) as other:
        first = other.submit(lambda: create(client_of(ada)))
        assert reached.wait(10)
        twin = create(client_of(ada))
        go_on.set()
        done = first.result(10)
    refused(twin, 409, "IDEMPOTENCY_IN_PROGRESS")
    assert twin.headers["Retry-After"] == "1"
    assert done.status_code == 201
    assert create(client_of(ada)).data == done.data


def test_the_first_answer_stays_whatever_a_slow_twin_says_later(
    client_of: Any, slow_sink: Any, clock: Any
) -> None:
    reached, go_on = slow_sink
    ada = make_account()
    with ThreadPoolExecutor(1) as other:
        slow = other.submit(lambda: create(client_of(ada)))
        assert reached.wait(10)
        [made] = Device.objects.scalar("id")
        client_of(ada).patch(f"/api/devices/{made}", json={"name": "Changed since"})
        clock(61)
        first = create(client_of(ada))
        go_on.set()
        later = slow.result(10)
    assert (first.status_code, later.status_code, first.json["id"]) == (201, 201, later.json["id"])
    assert first.data != later.data
    assert create(client_of(ada)).data == first.data


def test_many_at_once_make_one_device(live_server: LiveServer, app: Any) -> None:
    ada = make_account()
    with httpx.Client(headers=ada.headers | {"Idempotency-Key": "k1"}, timeout=30) as http:
        with ThreadPoolExecutor(10) as callers:
            answers = list(callers.map(lambda _: http.post(f"{live_server.url}/api/devices", json=NEW), range(10)))
        told = Counter(answer.json().get("code", "made") for answer in answers)
        assert set(told) <= {"made", "IDEMPOTENCY_IN_PROGRESS"} and told["made"] >= 1
        assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(Device.objects) == 1


def test_a_twin_that_died_after_its_write_is_taken_over_when_its_lease_has_ended(
    client_of: Any, settings: Settings, clock: Any, server_nursery: Nursery
) -> None:
    ada = make_account()
    body = NEW | {"serialNumber": "S1"}
    headers = ada.headers | {"Idempotency-Key": "k1"}
    request = json.dumps(["POST", "/api/devices", headers, body])
    victim = server_nursery.bear("tests.core.victims", request, environment=os.environ | named(settings))
    assert victim.wait(30) == -signal.SIGKILL
    [made] = Device.objects.scalar("id")
    refused(create(client_of(ada), serialNumber="S1"), 409, "IDEMPOTENCY_IN_PROGRESS")
    clock(61)
    answer = create(client_of(ada), serialNumber="S1")
    assert (answer.status_code, answer.json["id"]) == (201, str(made))
    assert "Idempotent-Replayed" not in answer.headers
    assert create(client_of(ada), serialNumber="S1").headers["Idempotent-Replayed"] == "true"
    assert len(Device.objects) == 1


@pytest.mark.actor()
def test_a_conflict_is_kept_whatever_becomes_of_its_cause(client: FlaskClient) -> None:
    other = client.post("/api/devices", json=NEW | {"serialNumber": "S1"}).json
    first = create(client, serialNumber="S1")
    client.delete(f"/api/devices/{other['id']}")
    second = create(client, serialNumber="S1")
    refused(first, 409, "DUPLICATE_ENTRY")
    assert (second.status_code, second.json["code"]) == (409, "DUPLICATE_ENTRY")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Content-Type"] == "application/problem+json"
    assert create(client, "k2", serialNumber="S1").status_code == 201


@pytest.mark.actor()
def test_what_is_refused_before_it_is_done_is_not_kept(client: FlaskClient, using: Any) -> None:
    headers = {"Idempotency-Key": "k1"}
    refused(client.post("/api/devices", data=b"{", content_type="application/json", headers=headers), 400)
    refused(client.post("/api/devices", json={"name": 1}, headers=headers), 422, "VALIDATION_ERROR")
    refused(client.post("/api/devices", json=NEW, headers=headers | {"Authorization": "Bearer x"}), 401)
    with using(device_rate_limit="1 per minute"):
        client.get("/api/devices")
        refused(create(client), 429, "DEVICE_RATE_LIMIT_EXCEEDED")
    answer = create(client)
    assert answer.status_code == 201 and "Idempotent-Replayed" not in answer.headers


@pytest.mark.actor()
def test_what_failed_is_not_kept_and_done_again_it_finds_what_was_made(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is there, but the answer to it never came: nobody knows, so it is a 503."""

    def lost(*_: Any, **__: Any) -> None:
        raise AutoReconnect("the connection was lost before the answer came")

    with monkeypatch.context() as broken:
        broken.setattr("devicehub.devices.views.whole", lost)
        refused(create(client, serialNumber="S1"), 503, "DATABASE_UNAVAILABLE")
    [made] = Device.objects.scalar("id")
    answer = create(client, serialNumber="S1")
    assert (answer.status_code, answer.json["id"]) == (201, str(made))
    assert len(Device.objects) == 1


@pytest.mark.actor()
def test_what_broke_by_our_own_fault_is_not_kept(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("devicehub.devices.views.whole", lambda _: 1 / 0)
        refused(create(client), 500, "INTERNAL_ERROR")
    assert create(client).status_code == 201


def test_a_key_is_its_actors_own(client_of: Any) -> None:
    ada = make_account()
    colleague = make_account(role="operator", organization_id=ada.actor.organization_id)
    made = {create(client_of(account)).json["id"] for account in (ada, colleague, make_account())}
    assert len(made) == 3


def test_a_key_is_its_organizations_own(
    client_of: Any, in_another_organization: Callable[[Account], Account]
) -> None:
    ada = make_account()
    here, there = create(client_of(ada)), create(client_of(in_another_organization(ada)))
    assert here.json["organizationId"] != there.json["organizationId"]
    assert here.json["id"] != there.json["id"]


@pytest.mark.actor()
def test_a_key_is_its_routes_own(client: FlaskClient) -> None:
    create(client)
    batch = client.post("/api/devices/batch", json={"devices": [NEW]}, headers={"Idempotency-Key": "k1"})
    assert batch.json["created"] == 1
    versioned = client.post("/api/v1/devices", json=NEW, headers={"Idempotency-Key": "k1"})
    assert versioned.headers["Idempotent-Replayed"] == "true"


@pytest.mark.actor()
def test_a_key_is_kept_for_a_day(client: FlaskClient, clock: Any) -> None:
    create(client)
    clock(600)
    assert create(client).headers["Idempotent-Replayed"] == "true"
    rows = mongo.database()["idempotency_keys"]
    [row] = rows.find()
    assert (row["expires_at"] - row["lease_until"]).total_seconds() == DAY - 60
    assert rows.index_information()["gone"]["expireAfterSeconds"] == 0


@pytest.mark.actor()
def test_it_works_without_redis(client: FlaskClient, servers: Servers) -> None:
    servers.redis.stop()
    try:
        first, second = create(client), create(client)
        assert (first.status_code, first.data) == (201, second.data)
        assert second.headers["Idempotent-Replayed"] == "true"
    finally:
        servers.restart_redis()
    wait_until(lambda: client.get("/health").json["dependencies"]["redis"] == "connected")
    assert create(client).headers["Idempotent-Replayed"] == "true"

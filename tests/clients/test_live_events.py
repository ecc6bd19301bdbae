"""The official JavaScript clients hear what happens: all of it, once, in one order."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import Program
from tests.conftest import wait_until
from tests.realtime.clients import Stream
from tests.simulator.test_report import figures

PASSWORD = "correct horse battery"
DEVICES = 200
EVENTS = ("device-update", "device-heartbeat")
UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"

Node = Callable[..., Program]
TRANSPORTS = [["websocket"], ["polling"], []]


@dataclass(frozen=True)
class Person:
    """Somebody who has signed in."""

    email: str
    token: str
    organization_id: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def person(url: str) -> Person:
    account = {"email": "ada@example.com", "password": PASSWORD}
    httpx.post(f"{url}/api/auth/signup", json={"name": "Ada Lovelace", **account}).raise_for_status()
    granted = httpx.post(f"{url}/api/auth/login", json=account).raise_for_status().json()
    return Person(account["email"], granted["accessToken"], granted["organization"]["id"])


@pytest.fixture
def stream(url: str, person: Person) -> Iterator[Stream]:
    """A plain HTTP client, with its token in a header."""
    with closing(Stream(url, person.headers)) as opened:
        opened.wait_for("connected")
        yield opened


def simulate(url: str, folder: Path, *options: str) -> dict[str, str]:
    """Run a fleet; its summary."""
    command = [sys.executable, "-m", "devicehub.cli", "simulate", "--url", url, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return figures(done.stdout[done.stdout.index("\nsent") + 1 :])


def told(client: Program | Stream) -> list[dict[str, Any]]:
    """What a client heard of devices, in its order."""
    if isinstance(client, Program):
        return client.named(*EVENTS)
    return [json.loads(event["data"]) for event in list(client.heard) if event.get("event") in EVENTS]


def last_id(url: str, person: Person, clients: Iterable[Program | Stream]) -> str:
    """Let one more thing happen, and every client hear of it: nothing else can be on its way then."""
    new = {"name": "The last one", "type": "sensor"}
    made = httpx.post(f"{url}/api/devices", json=new, headers=person.headers).raise_for_status().json()
    for client in clients:
        wait_until(lambda client=client: told(client)[-1]["deviceId"] == made["id"], 20, "the last event")
    return str(told(client)[-1]["id"])


def order_of(event_id: str) -> tuple[int, ...]:
    return tuple(map(int, event_id.split("-")))


def test_every_client_hears_every_beat_of_a_fleet(
    url: str, person: Person, node: Node, stream: Stream, tmp_path: Path
) -> None:
    sockets = [node("socket.mjs", url, person.token, *transports) for transports in TRANSPORTS]
    source = node("stream.mjs", url, person.token)
    clients = [*sockets, source, stream]
    for client in clients:
        client.wait_for("connected")
    for client in sockets:
        assert client.call("join-organization", {"organizationId": person.organization_id})["ok"] is True
        client.wait_for("joined-organization")
    assert sockets[-1].wait_for("upgrade") == {"name": "websocket"}

    account = ("--email", person.email, "--password", PASSWORD)
    summary = simulate(url, tmp_path, *account, "--devices", str(DEVICES), "--interval", "2", "--for", "10s")
    beats = int(summary["ok"].replace(",", ""))
    end = last_id(url, person, clients)

    events = told(stream)
    ids = [event["id"] for event in events]
    heartbeats = [event for event in events if event["type"] == "device_heartbeat"]
    assert summary["errors"] == "0"
    assert len(heartbeats) == beats
    assert len({event["deviceId"] for event in heartbeats}) == DEVICES
    assert ids == sorted(set(ids), key=order_of), "told twice, or out of order"
    assert ids[-1] == end
    for client in clients:
        assert told(client) == events, "they were not all told the same"
    named = [(event["id"], event["payload"]["id"]) for event in source.heard if event.get("event") in EVENTS]
    assert all(field == inside for field, inside in named)


@pytest.mark.parametrize("transports", TRANSPORTS, ids=lambda transports: "+".join(transports) or "default")
def test_what_a_client_sends_is_acknowledged(url: str, person: Person, node: Node, transports: list[str]) -> None:
    socket = node("socket.mjs", url, person.token, *transports)
    greeting = socket.wait_for("connected")
    assert greeting["organizationId"] == person.organization_id

    joined = socket.call("join-organization", {"organizationId": person.organization_id})
    assert (joined["ok"], joined["role"]) == (True, "owner")
    assert socket.call("leave-organization", {"organizationId": person.organization_id})["ok"] is True

    foreign = socket.call("join-organization", {"organizationId": UNKNOWN})
    assert (foreign["ok"], foreign["error"]["code"]) == (False, "ORGANIZATION_NOT_FOUND")
    assert foreign["error"]["message"]
    unknown = socket.call("device-status-request", {"deviceId": UNKNOWN})
    assert (unknown["ok"], unknown["error"]["code"]) == (False, "DEVICE_NOT_FOUND")
    for hostile in ([], [None], ["text"], [{"deviceId": {"$gt": ""}}], [{"__proto__": 1, "deviceId": UNKNOWN}, 2]):
        refused = socket.call("device-status-request", *hostile)
        assert (refused["ok"], refused["error"]["code"]) == (False, "VALIDATION_ERROR")
    assert socket.call("no-such-event", {})["error"]["code"] == "NOT_FOUND"
    assert socket.call("authenticate", {"token": person.token})["ok"] is True


@pytest.mark.parametrize("transports", TRANSPORTS, ids=lambda transports: "+".join(transports) or "default")
@pytest.mark.parametrize(("token", "code"), [("", "AUTHENTICATION_REQUIRED"), ("not.a.token", "INVALID_TOKEN")])
def test_who_is_refused_learns_why(url: str, node: Node, token: str, code: str, transports: list[str]) -> None:
    refusal = node("socket.mjs", url, token, *transports).wait_for("connect_error")
    assert refusal["data"]["code"] == code
    assert refusal["message"] == refusal["data"]["message"] != ""


def test_an_event_source_whose_token_is_refused_is_told_so(url: str, node: Node) -> None:
    assert node("stream.mjs", url, "not.a.token").wait_for("error")["code"] == 401

"""`device-status-request` and `device-unsubscribe`."""

from typing import Any

import pytest

from devicehub.core.actor import Actor
from devicehub.devices import heartbeats
from tests.conftest import LiveServer
from tests.factories import make_account, make_device
from tests.realtime.clients import Socket, socket_of

pytestmark = pytest.mark.usefixtures("app")

UNKNOWN = "65f000000000000000000009"


def beat(actor: Actor, device: dict[str, Any]) -> None:
    heartbeats.beat(actor, device["id"], {"metrics": {"temperature": 21.5}})


def leave(socket: Socket, actor: Actor) -> None:
    assert socket.call("leave-organization", {"organizationId": actor.organization_id})["ok"]


def test_a_device_is_told_as_it_is_now(live_server: LiveServer) -> None:
    account = make_account()
    device = make_device(account.actor, name="Pump")
    beat(account.actor, device)
    with socket_of(live_server.url, account) as socket:
        answer = socket.call("device-status-request", {"deviceId": device["id"]})
        assert answer == {"ok": True, **socket.wait_for("subscribed-device")}
        assert answer["deviceId"] == device["id"]
        told = answer["device"]
        assert (told["name"], told["presence"], told["metrics"]) == ("Pump", "online", {"temperature": 21.5})


def test_one_device_is_heard_without_the_others_of_its_organization(live_server: LiveServer) -> None:
    account = make_account()
    wanted, other = make_device(account.actor), make_device(account.actor)
    with socket_of(live_server.url, account) as socket:
        assert socket.call("device-status-request", {"device_id": wanted["id"]})["ok"]
        leave(socket, account.actor)
        beat(account.actor, other)
        beat(account.actor, wanted)
        assert socket.wait_for("device-heartbeat")["deviceId"] == wanted["id"]
        assert {update["deviceId"] for update in socket.named("device-update")} == {wanted["id"]}


def test_who_hears_the_organization_and_the_device_hears_it_once(live_server: LiveServer) -> None:
    account = make_account()
    device = make_device(account.actor)
    with socket_of(live_server.url, account) as socket:
        assert socket.call("device-status-request", {"deviceId": device["id"]})["ok"]
        for _ in range(3):
            beat(account.actor, device)
        socket.wait_for("device-heartbeat", 3)
        ids = [heartbeat["id"] for heartbeat in socket.named("device-heartbeat")]
        assert len(ids) == len(set(ids)) == 3


def test_a_device_that_was_unsubscribed_is_heard_no_more(live_server: LiveServer) -> None:
    account = make_account()
    first, second = make_device(account.actor), make_device(account.actor)
    with socket_of(live_server.url, account) as socket:
        for device in (first, second):
            assert socket.call("device-status-request", {"deviceId": device["id"]})["ok"]
        leave(socket, account.actor)
        assert socket.call("device-unsubscribe", {"deviceId": first["id"]})["ok"]
        beat(account.actor, first)
        beat(account.actor, second)
        assert socket.wait_for("device-heartbeat")["deviceId"] == second["id"]


@pytest.mark.parametrize("whose", ["unknown", "malformed", "foreign"])
def test_a_strangers_device_does_not_exist(live_server: LiveServer, whose: str) -> None:
    other, mine = make_account(), make_account()
    theirs = make_device(other.actor)
    named = {"unknown": UNKNOWN, "malformed": "x", "foreign": theirs["id"]}[whose]
    with socket_of(live_server.url, mine) as socket:
        assert socket.call("device-status-request", {"deviceId": named})["error"]["code"] == "DEVICE_NOT_FOUND"
        beat(other.actor, theirs)
        own = make_device(mine.actor)
        beat(mine.actor, own)
        assert socket.wait_for("device-heartbeat")["deviceId"] == own["id"]
        assert not socket.named("subscribed-device")


@pytest.mark.parametrize("event", ["device-status-request", "device-unsubscribe"])
@pytest.mark.parametrize("payload", [None, {}, {"deviceId": {"$gt": ""}}, {"deviceId": None}, [], "text"])
def test_a_malformed_device_is_refused(live_server: LiveServer, event: str, payload: Any) -> None:
    with socket_of(live_server.url, make_account()) as socket:
        assert socket.call(event, payload)["error"]["code"] == "VALIDATION_ERROR"

"""`join-organization` and `leave-organization`."""

from typing import Any

import pytest

from tests.conftest import LiveServer
from tests.factories import join, make_account, make_device
from tests.realtime.clients import socket_of

pytestmark = pytest.mark.usefixtures("app")

UNKNOWN = "65f000000000000000000009"


def test_a_member_joins_and_hears_what_happens_there(live_server: LiveServer) -> None:
    account, other = make_account(), make_account()
    join(account, other.actor.organization_id, role="viewer")
    with socket_of(live_server.url, account) as socket:
        answer = socket.call("join-organization", {"organizationId": other.actor.organization_id})
        assert answer == {"ok": True, **socket.wait_for("joined-organization")}
        assert (answer["organizationId"], answer["role"]) == (other.actor.organization_id, "viewer")
        theirs, own = make_device(other.actor), make_device(account.actor)
        socket.wait_for("device-update", 2)
        heard = {update["deviceId"]: update for update in socket.named("device-update")}
        assert heard.keys() == {theirs["id"], own["id"]}
        assert heard[theirs["id"]]["id"] > answer["lastEventId"]


def test_joining_twice_is_hearing_once(live_server: LiveServer) -> None:
    account = make_account()
    organization = {"organizationId": account.actor.organization_id}
    with socket_of(live_server.url, account) as socket:
        assert socket.call("join-organization", organization)["ok"]
        devices = [make_device(account.actor)["id"] for _ in range(3)]
        socket.wait_for("device-update", 3)
        assert [update["deviceId"] for update in socket.named("device-update")] == devices


@pytest.mark.parametrize("event", ["join-organization", "leave-organization"])
@pytest.mark.parametrize("payload", [None, {}, {"organizationId": {"$gt": ""}}, {"organizationId": 7}, "text"])
def test_a_malformed_organization_is_refused(live_server: LiveServer, event: str, payload: Any) -> None:
    with socket_of(live_server.url, make_account()) as socket:
        error = socket.call(event, payload)["error"]
        assert error["code"] == "VALIDATION_ERROR"
        assert error["errors"]


@pytest.mark.parametrize("whose", ["unknown", "malformed", "foreign"])
def test_a_strangers_organization_does_not_exist(live_server: LiveServer, whose: str) -> None:
    other, mine = make_account(), make_account()
    named = {"unknown": UNKNOWN, "malformed": "x", "foreign": other.actor.organization_id}[whose]
    with socket_of(live_server.url, mine) as socket:
        assert (
            socket.call("join-organization", {"organizationId": named})["error"]["code"]
            == "ORGANIZATION_NOT_FOUND"
        )
        make_device(other.actor)
        own = make_device(mine.actor)
        assert socket.wait_for("device-update")["deviceId"] == own["id"]


def test_who_has_left_hears_nothing_more(live_server: LiveServer) -> None:
    account, other = make_account(), make_account()
    join(account, other.actor.organization_id, role="viewer")
    with socket_of(live_server.url, account) as socket:
        assert socket.call("join-organization", {"organizationId": other.actor.organization_id})["ok"]
        assert socket.call("leave-organization", {"organizationId": account.actor.organization_id})["ok"]
        make_device(account.actor)
        theirs = make_device(other.actor)
        assert socket.wait_for("device-update")["deviceId"] == theirs["id"]


def test_leaving_what_one_is_not_in_is_no_error_and_tells_nothing(live_server: LiveServer) -> None:
    other = make_account().actor.organization_id
    with socket_of(live_server.url, make_account()) as socket:
        answers = [socket.call("leave-organization", {"organizationId": named}) for named in (UNKNOWN, other)]
        assert [answer["ok"] for answer in answers] == [True, True]

"""What a device's presence was: kept, listed, and summed up exactly."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from devicehub.core.actor import Actor
from devicehub.devices import heartbeats, history, states, sweeper
from devicehub.devices.models import PRESENCES
from tests.factories import log_in, make_account, make_device

pytestmark = pytest.mark.actor()
START = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = 100


@pytest.fixture
def device(actor: Actor) -> dict[str, Any]:
    return make_device(actor, heartbeat_interval=10)


@given(
    moments=st.lists(st.integers(-20, LENGTH + 20), max_size=8),
    states=st.lists(st.sampled_from(PRESENCES), min_size=9, max_size=9),
)
def test_the_time_spent_is_what_counting_every_second_gives(moments: list[int], states: list[str]) -> None:
    """The model looks at each second by itself; the changes it is given may lie outside the time in question."""
    moments = sorted(moments)
    changes = [(START + timedelta(seconds=at), states[n], states[n + 1]) for n, at in enumerate(moments)]
    within = [change for change in changes if change[0] >= START]
    now = states[len(moments)]

    def at(second: int) -> str:
        return states[sum(moment <= second for moment in moments)]

    counted = {name: float(sum(at(second) == name for second in range(LENGTH))) for name in PRESENCES}
    assert history.spent(START, START + timedelta(seconds=LENGTH), within, now=now) == counted


def availability(client: FlaskClient, device: dict[str, Any], query: str = "") -> Any:
    return client.get(f"/api/devices/{device['id']}/presence/availability{query}")


def test_nothing_is_known_of_a_device_that_was_never_heard_of(client: FlaskClient, device: dict[str, Any]) -> None:
    told = availability(client, device).json
    assert told["availability"] is None
    assert told["seconds"]["online"] == told["seconds"]["late"] == told["seconds"]["offline"] == 0
    assert told["changes"] == 0


def test_availability_is_the_share_of_the_time_it_was_online(
    actor: Actor, device: dict[str, Any], account: Any, clock: Callable[[float], None], client_of: Any
) -> None:
    clock(100)
    heartbeats.beat(actor, device["id"], {})
    for seconds in (15, 15, 70):  # 15 online, 15 late, 70 offline
        clock(seconds)
        sweeper.sweep()
    heartbeats.beat(actor, device["id"], {})
    clock(50)
    told = availability(client_of(account), device).json
    assert told["seconds"] == {
        "neverSeen": pytest.approx(100, abs=5),
        "online": pytest.approx(65, abs=5),
        "late": pytest.approx(15, abs=5),
        "offline": pytest.approx(70, abs=5),
    }
    assert told["availability"] == pytest.approx(100 * 65 / 150, abs=3)
    assert told["changes"] == 4
    clock(7200)
    assert availability(client_of(log_in(account.email)), device, "?range=1h").json["seconds"] == {
        "neverSeen": 0,
        "online": 3600,
        "late": 0,
        "offline": 0,
    }


def test_a_change_counts_before_it_is_told(
    actor: Actor, client: FlaskClient, device: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "record", lambda _: None)
    monkeypatch.setattr(states, "settle", lambda _: None)
    heartbeats.beat(actor, device["id"], {"goodbye": True})
    assert availability(client, device).json["changes"] == 1


@pytest.mark.parametrize("span", ["0d", "91d", "2161h", "7", "d", "7w", "-1d", "7d\n", "\u0667d", "1.5h"])
def test_an_odd_range_is_refused(client: FlaskClient, device: dict[str, Any], span: str) -> None:
    answer = client.get(f"/api/devices/{device['id']}/presence/availability", query_string={"range": span})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["range"])


def listed(client: FlaskClient, device: dict[str, Any], **query: Any) -> Any:
    return client.get(f"/api/devices/{device['id']}/presence/history", query_string=query).json


def test_every_change_is_listed_with_its_cause_newest_first(
    actor: Actor, client: FlaskClient, device: dict[str, Any], clock: Callable[[float], None]
) -> None:
    heartbeats.beat(actor, device["id"], {"firmware_version": "1"})
    heartbeats.beat(actor, device["id"], {"firmware_version": "2"})  # no change of presence
    clock(16)
    sweeper.sweep()
    heartbeats.beat(actor, device["id"], {"goodbye": True, "reason": "reboot"})
    goodbye, silence, first = listed(client, device)["items"]
    assert goodbye.pop("at") > silence.pop("at") > first.pop("at")
    by = {"by": actor.user_id}
    assert goodbye == {
        "seq": 4,
        "from": "late",
        "to": "offline",
        "cause": {"kind": "goodbye", "reason": "reboot"} | by,
    }
    assert silence == {"seq": 3, "from": "online", "to": "late", "cause": {"kind": "silence"}}
    assert first == {"seq": 1, "from": "never_seen", "to": "online", "cause": {"kind": "heartbeat"} | by}


def test_the_list_goes_on_where_its_cursor_says_whatever_happened_since(
    actor: Actor, client: FlaskClient, device: dict[str, Any]
) -> None:
    for number in range(5):
        heartbeats.beat(actor, device["id"], {"goodbye": number % 2 == 1})
    part = listed(client, device, limit=2)
    heartbeats.beat(actor, device["id"], {"goodbye": True})
    seen = [change["seq"] for change in part["items"]]
    while cursor := part["pagination"]["nextCursor"]:
        part = listed(client, device, limit=2, cursor=cursor)
        seen += [change["seq"] for change in part["items"]]
    assert seen == [5, 4, 3, 2, 1]


def test_a_cursor_of_another_device_is_refused(actor: Actor, client: FlaskClient, device: dict[str, Any]) -> None:
    other = make_device(actor)
    for one in (device, other):
        heartbeats.beat_all(actor, [(one["id"], {}), (one["id"], {"goodbye": True})])
    cursor = listed(client, device, limit=1)["pagination"]["nextCursor"]
    assert list(listed(client, other, cursor=cursor)["errors"]) == ["cursor"]


@pytest.mark.parametrize("part", ["", "/history", "/availability"])
def test_another_organizations_device_is_not_found(client: FlaskClient, part: str) -> None:
    foreign = make_device(make_account().actor)
    assert client.get(f"/api/devices/{foreign['id']}/presence{part}").json["code"] == "DEVICE_NOT_FOUND"

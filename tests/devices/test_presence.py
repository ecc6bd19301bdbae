"""What a device's presence is: found by the server, from signals and from silence."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY

from devicehub.core import clock as system_clock
from devicehub.core import redis
from devicehub.core.actor import Actor
from devicehub.devices import heartbeats, presence, states, sweeper, views
from devicehub.devices import service as devices
from devicehub.devices.models import Device, PresenceChange
from tests.conftest import Servers, wait_until
from tests.factories import make_account, make_device
from tests.jobs.inline import run_due_jobs

pytestmark = pytest.mark.actor()
Clock = Callable[[float], None]


@pytest.fixture
def device(actor: Actor) -> dict[str, Any]:
    return make_device(actor, heartbeat_interval=10)


@pytest.fixture
def beat(actor: Actor, device: dict[str, Any]) -> Callable[..., views.Beat]:
    return lambda **told: heartbeats.beat(actor, device["id"], told)


@pytest.fixture
def later(actor: Actor, device: dict[str, Any], clock: Clock) -> Callable[[float], dict[str, Any]]:
    """Let time pass and the sweeper do its duty; gives the device as it is then."""

    def pass_by(seconds: float) -> dict[str, Any]:
        clock(seconds)
        sweeper.sweep()
        return devices.get(actor, device["id"])

    return pass_by


Later = Callable[[float], dict[str, Any]]
Beating = Callable[..., views.Beat]


def stored(device: dict[str, Any]) -> Any:
    return Device.objects.get(id=device["id"])


def kept(device: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = PresenceChange.objects(device_id=device["id"]).order_by("seq")
    return [(row.presence_before, row.presence_after, row.cause["kind"]) for row in rows]


def in_the_log(actor: Actor, device: dict[str, Any]) -> list[str]:
    """The presences that the organization's log tells of this device, one each time it changed."""
    rows = redis.current().client.xrange(f"events:{actor.organization_id}")
    payloads = [fields[b"payload"] for _, fields in rows if fields.get(b"event") == b"device-update"]
    told = [devices.orjson.loads(payload) for payload in payloads]
    return [one["presence"] for one in told if one["deviceId"] == device["id"] and "presence" in one["changes"]]


def test_a_device_that_was_never_heard_of_stays_so(later: Later) -> None:
    assert later(100 * 86_400)["presence"] == "never_seen"
    assert later(0)["status"] == "active"


def test_silence_makes_late_after_one_and_a_half_intervals_and_offline_15_s_later(
    beat: Beating, later: Later
) -> None:
    beat()
    assert later(10)["presence"] == "online"
    assert later(6)["presence"] == "late"
    assert later(9)["presence"] == "late"
    assert later(6)["presence"] == "offline"


def test_a_beat_in_time_puts_everything_off(beat: Beating, later: Later) -> None:
    for _ in range(3):
        beat()
        assert later(10)["presence"] == "online"


@pytest.mark.parametrize("silence", [16, 31])
def test_a_beat_brings_it_back(beat: Beating, later: Later, silence: float) -> None:
    beat()
    assert later(16)["presence"] == "late"
    assert later(silence)["presence"] == "offline"
    assert beat().presence == "online"
    assert later(0)["presence"] == "online"


def test_a_device_found_late_long_after_is_given_its_15_s_still(beat: Beating, later: Later) -> None:
    """Nobody was there to hear it: all processes were down for an hour."""
    beat()
    assert later(3600)["presence"] == "late"
    assert later(8)["presence"] == "late"
    assert later(6)["presence"] == "offline"


def test_a_goodbye_is_offline_at_once_and_stays_so(beat: Beating, later: Later, device: dict[str, Any]) -> None:
    beat()
    assert beat(goodbye=True, reason="maintenance").presence == "offline"
    assert later(5)["presence"] == "offline"
    assert kept(device)[-1] == ("online", "offline", "goodbye")
    assert beat().presence == "online"


def test_each_change_is_kept_and_told_once(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later
) -> None:
    beat()
    for seconds in (16, 0, 15, 0, 0):
        later(seconds)
    beat()
    beat()
    assert kept(device) == [
        ("never_seen", "online", "heartbeat"),
        ("online", "late", "silence"),
        ("late", "offline", "silence"),
        ("offline", "online", "heartbeat"),
    ]
    assert in_the_log(actor, device) == ["online", "late", "offline", "online"]
    assert stored(device).untold == []


def test_what_its_finder_left_untold_the_sweeper_tells_in_order(
    actor: Actor, device: dict[str, Any], later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(states, "record", _die)
        with pytest.raises(Died):
            heartbeats.beat(actor, device["id"], {})
    later(0)
    assert (in_the_log(actor, device), kept(device)) == ([], []), "its finder may be about to"
    with monkeypatch.context() as dying:
        dying.setattr(states, "record", _die)
        with pytest.raises(Died):
            later(16)
    assert (in_the_log(actor, device), kept(device)) == ([], [])
    later(0)
    assert in_the_log(actor, device) == ["online", "late"]
    assert len(kept(device)) == 2
    later(10)
    assert in_the_log(actor, device) == ["online", "late"]


def test_who_finds_something_untold_before_his_own_tells_both(
    actor: Actor, device: dict[str, Any], beat: Beating, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(states, "record", _die)
        with pytest.raises(Died):
            beat()
    beat(goodbye=True)
    assert in_the_log(actor, device) == ["online", "offline"]
    assert len(kept(device)) == 2


def test_what_was_told_but_not_noted_as_told_is_not_told_again(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(states, "settle", _die)
        with pytest.raises(Died):
            beat()
    later(3)
    assert in_the_log(actor, device) == ["online"]
    assert stored(device).untold == []


def test_when_redis_was_emptied_in_between_it_is_told_twice_and_no_more(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(states, "settle", _die)
        with pytest.raises(Died):
            beat()
    redis.current().client.flushall()
    for _ in range(3):
        later(3)
    assert in_the_log(actor, device) == ["online"], "of the log that there is now"
    assert len(kept(device)) == 1


def test_a_beat_and_the_sweeper_cannot_both_win(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat()
    write, beats = states.write, [{}]

    def beaten_to_it(changes: list[states.Change]) -> Any:
        if beats and beats.pop() is not None:
            beat()
        return write(changes)

    monkeypatch.setattr(states, "write", beaten_to_it)
    assert later(16)["presence"] == "online"
    assert [change[1] for change in kept(device)] == ["online"]


def test_a_longer_interval_is_a_later_deadline_and_a_shorter_one_an_earlier(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later
) -> None:
    beat()
    assert later(16)["presence"] == "late"
    devices.update(actor, device["id"], {"heartbeat_interval": 60})
    assert later(0)["presence"] == "online"
    assert kept(device)[-1] == ("late", "online", "interval")
    assert later(60)["presence"] == "online"
    devices.update(actor, device["id"], {"heartbeat_interval": 10})
    assert later(0)["presence"] == "late"
    assert later(14)["presence"] == "offline"


def test_a_longer_interval_does_not_take_a_goodbye_back(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later
) -> None:
    beat(goodbye=True)
    devices.update(actor, device["id"], {"heartbeat_interval": 600})
    assert later(0)["presence"] == "offline"


def test_what_people_do_is_no_sign_of_life(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later
) -> None:
    beat()
    assert later(10)["presence"] == "online"
    devices.update(actor, device["id"], {"name": "Renamed", "status": "maintenance"})
    assert later(6)["presence"] == "late"


def test_a_day_of_silence_makes_inactive_and_a_signal_active_again(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later, told: list[Any]
) -> None:
    beat()
    later(16)
    later(15)
    assert later(86_400 - 40)["status"] == "active"
    assert later(20)["status"] == "inactive"
    assert stored(device).status_by == "silence"
    assert told[-1].data["changes"] == {"status": "inactive"}
    assert stored(device).due_at is None
    assert beat().status == "active"


@pytest.mark.parametrize("status", ["maintenance", "inactive"])
def test_silence_leaves_a_status_that_is_not_active_alone(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later, status: str
) -> None:
    beat()
    devices.update(actor, device["id"], {"status": status})
    for _ in range(3):
        assert later(86_400)["status"] == status
    assert beat().status == status


def test_who_makes_a_silent_device_active_is_given_another_day(
    actor: Actor, device: dict[str, Any], beat: Beating, later: Later
) -> None:
    beat()
    for _ in range(3):
        later(86_400)
    assert later(0)["status"] == "inactive"
    devices.update(actor, device["id"], {"status": "active"})
    assert later(86_000)["status"] == "active"
    assert later(401)["status"] == "inactive"


def test_how_long_is_a_setting(beat: Beating, later: Later, using: Any) -> None:
    with using(device_inactive_after=3600):
        beat()
        later(16)
        later(15)
        assert later(3560)["status"] == "active"
        assert later(10)["status"] == "inactive"


def test_a_deleted_device_is_never_due_and_leaves_no_history(
    actor: Actor, device: dict[str, Any], beat: Beating, clock: Clock
) -> None:
    beat()
    assert kept(device)
    devices.delete(actor, device["id"])
    clock(100)
    sweeper.sweep()
    run_due_jobs("devices.purge")
    assert (kept(device), in_the_log(actor, device)) == ([], ["online"])


def test_lists_know_at_once_what_the_sweeper_found(
    client: FlaskClient, device: dict[str, Any], beat: Beating, later: Later
) -> None:
    beat()
    assert [one["id"] for one in client.get("/api/devices?presence=online").json["items"]] == [device["id"]]
    assert client.get("/api/devices").json["items"][0]["presence"] == "online"
    later(16)
    assert client.get("/api/devices?presence=online").json["items"] == []
    assert client.get("/api/devices").json["items"][0]["presence"] == "late"


def test_many_are_swept_in_batches_of_several_organizations(
    actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH", 7)
    other = make_account().actor
    fleet = [(who, make_device(who, heartbeat_interval=5)) for who in (actor, other) for _ in range(10)]
    for who in (actor, other):
        mine = [(device["id"], {}) for owner, device in fleet if owner is who]
        heartbeats.beat_all(who, mine)
    for seconds in (8, 15):
        clock(seconds)
        sweeper.sweep()
    for who, device in fleet:
        assert devices.get(who, device["id"])["presence"] == "offline"
        assert in_the_log(who, device) == ["online", "late", "offline"]


def test_transitions_and_the_lag_of_the_sweeper_are_counted(beat: Beating, later: Later) -> None:
    def counted(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0

    before = counted("devicehub_device_transitions_total", to="late"), counted("devicehub_signal_group_size_count")
    beat()
    later(18)
    assert 2.9 < counted("devicehub_presence_sweep_lag_seconds") < 10
    later(1)
    assert counted("devicehub_presence_sweep_lag_seconds") == 0
    after = counted("devicehub_device_transitions_total", to="late"), counted("devicehub_signal_group_size_count")
    assert after == (before[0] + 1, before[1] + 1)


def test_a_device_from_before_the_sweeper_is_taken_over_as_it_is(device: dict[str, Any], later: Later) -> None:
    new = ("sequence", "presence_since", "due_at", "signal", "transitions", "untold")
    before = {"presence": "online", "last_active_at": system_clock.now(), "beats": 7}
    devices_of = Device._get_collection()
    devices_of.update_many({}, {"$set": before, "$unset": dict.fromkeys(new, "")})
    for _ in range(2):
        import_module("migrations_indexes.0010_presence").up(devices_of.database)
    assert later(16)["presence"] == "late"
    row = devices_of.find_one()
    assert row is not None and (row["sequence"], row["transitions"], "beats" in row) == (8, 1, False)
    assert kept(device) == [("online", "late", "silence")]


class Died(Exception):
    pass


def _die(*_: Any) -> None:
    raise Died


def why(client: FlaskClient, device: dict[str, Any]) -> Any:
    return client.get(f"/api/devices/{device['id']}/presence").json


def test_it_explains_itself_before_anything_was_heard(client: FlaskClient, device: dict[str, Any]) -> None:
    told = why(client, device)
    assert told.pop("serverTime") >= device["createdAt"]
    assert told == {
        "deviceId": device["id"],
        "presence": "never_seen",
        "since": device["createdAt"],
        "lastSignal": None,
        "heartbeatInterval": 10,
        "intervalSetBy": "person",
        "lateAt": None,
        "offlineAt": None,
        "nextTransition": None,
        "clockOffsetMs": None,
    }


def test_it_explains_what_it_waits_for(
    client: FlaskClient, actor: Actor, device: dict[str, Any], later: Later
) -> None:
    answer = client.post(f"/api/devices/{device['id']}/heartbeat", json={}).json
    told = why(client, device)
    assert told["lastSignal"] == {"at": answer["lastActiveAt"], "kind": "heartbeat", "by": actor.user_id}
    assert (told["presence"], told["since"]) == ("online", answer["lastActiveAt"])
    assert _seconds(told["lastSignal"]["at"], told["lateAt"]) == 15
    assert _seconds(told["lateAt"], told["offlineAt"]) == 15
    assert told["nextTransition"] == {"to": "late", "at": told["lateAt"]}
    later(15.5)
    told = why(client, device)
    assert told["nextTransition"] == {"to": "offline", "at": told["offlineAt"]}
    later(15)
    told = why(client, device)
    assert (told["presence"], told["lateAt"], told["offlineAt"]) == ("offline", None, None)
    assert told["nextTransition"]["to"] == "inactive"


def test_it_explains_a_goodbye_and_a_clock_that_is_wrong(client: FlaskClient, device: dict[str, Any]) -> None:
    sent_at = system_clock.rfc3339(system_clock.now() - timedelta(hours=1))
    told = {"goodbye": True, "reason": "firmware update", "sentAt": sent_at}
    client.post(f"/api/devices/{device['id']}/heartbeat", json=told)
    found = why(client, device)
    assert (found["lastSignal"]["kind"], found["lastSignal"]["reason"]) == ("goodbye", "firmware update")
    assert -3_610_000 < found["clockOffsetMs"] <= -3_600_000


def test_it_says_whether_somebody_chose_the_interval(client: FlaskClient) -> None:
    device = client.post("/api/devices", json={"name": "Pump", "type": "pump"}).json
    assert device["heartbeatInterval"] == 60
    assert why(client, device)["intervalSetBy"] == "default"
    client.patch(f"/api/devices/{device['id']}", json={"heartbeatInterval": 60})
    assert why(client, device)["intervalSetBy"] == "person"


def _seconds(one: str, other: str) -> float:
    read = devices.datetime.fromisoformat
    return (read(other) - read(one)).total_seconds()


def test_steps_are_a_function_of_the_device_and_the_moment(device: dict[str, Any], beat: Beating) -> None:
    beat()
    row = states.read([stored(device).id])[stored(device).id]
    moment = presence.late_at(row)
    assert presence.after_silence(row, moment - timedelta(milliseconds=1))["presence"] == "online"
    late = presence.after_silence(row, moment)
    assert (late["presence"], late["due_at"]) == ("late", moment + presence.GRACE)


def test_without_redis_silence_is_found_and_lists_are_right_when_it_is_back(
    client: FlaskClient, device: dict[str, Any], beat: Beating, later: Later, servers: Servers
) -> None:
    beat()
    assert client.get("/api/devices?presence=late").json["items"] == []
    assert client.get("/api/devices?presence=late").headers["X-Cache"] == "HIT"
    servers.redis.stop()
    try:
        assert later(16)["presence"] == "late"
    finally:
        servers.restart_redis()
    wait_until(redis.current().is_alive)
    assert [one["id"] for one in client.get("/api/devices?presence=late").json["items"]] == [device["id"]]
    assert stored(device).untold == []
    assert [change[1] for change in kept(device)] == ["online", "late"]

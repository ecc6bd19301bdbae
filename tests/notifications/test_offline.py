"""Who is told that a device is offline, when, and how often."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from devicehub.core import clock as system_clock
from devicehub.core import redis
from devicehub.core.actor import Actor
from devicehub.core.paging import After
from devicehub.devices import heartbeats, sweeper
from devicehub.devices import service as devices
from devicehub.devices.models import Device
from devicehub.mail.models import Mail
from devicehub.notifications import offline, rules
from devicehub.notifications import service as notifications
from devicehub.organizations import deletions, members
from devicehub.organizations import service as organizations
from devicehub.users import preferences
from tests.factories import Account, join, make_account, make_device

pytestmark = pytest.mark.actor()
Clock = Callable[[float], None]


@pytest.fixture
def device(actor: Actor) -> dict[str, Any]:
    return make_device(actor, name="Boiler", heartbeat_interval=10)


def told_of(account: Account) -> list[dict[str, Any]]:
    """What somebody was told, oldest first."""
    return list(notifications.find(account.actor, After(limit=100)).rows)[::-1]


def leave(actor: Actor, *gone: dict[str, Any], reason: str | None = None) -> None:
    """Let devices say goodbye, so that they are offline now."""
    said = {"goodbye": True} | ({"reason": reason} if reason else {})
    heartbeats.beat_all(actor, [(one["id"], said) for one in gone])


def pass_by(clock: Clock, seconds: float) -> None:
    clock(seconds)
    offline.sweep()


def waits(device: dict[str, Any]) -> Any:
    return Device.objects.get(id=device["id"]).notice


def test_silence_is_told_of_once_after_its_grace(account: Account, device: dict[str, Any], clock: Clock) -> None:
    heartbeats.beat(account.actor, device["id"], {})
    for seconds in (16, 16):
        clock(seconds)
        sweeper.sweep()
    pass_by(clock, 59)
    assert told_of(account) == []
    for seconds in (2, 0, 3600):
        pass_by(clock, seconds)
    [item] = told_of(account)
    assert (item["type"], item["title"]) == ("device_offline", "Boiler is offline")
    assert item["organization_id"] == ObjectId(account.actor.organization_id)
    assert item["data"]["deviceId"] == device["id"]
    assert not waits(device)
    assert (Mail.objects.count(), Mail.objects.get().kind) == (1, "device_offline")


def test_a_device_that_is_back_before_its_grace_is_over_is_not_told_of(
    account: Account, device: dict[str, Any], clock: Clock
) -> None:
    leave(account.actor, device)
    pass_by(clock, 50)
    heartbeats.beat(account.actor, device["id"], {})
    pass_by(clock, 3600)
    assert told_of(account) == [] and not waits(device)
    assert Mail.objects.count() == 0


def test_each_time_it_goes_is_told_of(account: Account, device: dict[str, Any], clock: Clock) -> None:
    for _ in range(2):
        leave(account.actor, device, reason="Moving house")
        pass_by(clock, 61)
        heartbeats.beat(account.actor, device["id"], {})
    assert [item["message"] for item in told_of(account)] == ["Boiler said goodbye: Moving house"] * 2
    assert Mail.objects.count() == 2


def test_devices_that_go_together_are_told_of_together(account: Account, clock: Clock) -> None:
    made = [make_device(account.actor) for _ in range(25)]
    leave(account.actor, *made)
    pass_by(clock, 61)
    [item] = told_of(account)
    assert item["title"] == "25 devices are offline"
    assert (item["data"]["count"], len(item["data"]["devices"])) == (25, offline.MOST_NAMED)
    assert Mail.objects.get().data["count"] == 25


def test_more_than_are_looked_at_together_are_told_of_too(
    account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "BATCH", 3)
    leave(account.actor, *(make_device(account.actor) for _ in range(7)))
    pass_by(clock, 61)
    assert sum(item["data"]["count"] for item in told_of(account)) == 7


def test_its_owner_is_told_and_whoever_wants_to_know_of_all(account: Account, clock: Clock) -> None:
    organization_id = account.actor.organization_id
    operator, other, watcher = (make_account(role="operator", organization_id=organization_id) for _ in range(3))

    preferences.update(watcher.actor.user_id, {"offline_devices": "all"})
    stranger = make_account()
    preferences.update(stranger.actor.user_id, {"offline_devices": "all"})
    leave(account.actor, make_device(operator.actor, name="Pump"))
    pass_by(clock, 61)
    assert [len(told_of(one)) for one in (operator, watcher, account, other, stranger)] == [1, 1, 0, 0, 0]
    assert sorted(mail.to for mail in Mail.objects) == sorted([operator.email, watcher.email])


def test_who_has_left_is_not_told(account: Account, clock: Clock) -> None:
    guest = make_account()
    join(guest, account.actor.organization_id, role="operator")
    there = organizations.require(guest.actor, account.actor.organization_id)
    leave(account.actor, make_device(there))
    members.remove(account.actor, guest.actor.user_id)
    pass_by(clock, 61)
    assert told_of(guest) == told_of(account) == []


def test_mail_and_what_is_kept_are_chosen_apart(account: Account, device: dict[str, Any], clock: Clock) -> None:

    preferences.update(account.actor.user_id, {"in_app": {"device_offline": False}})
    leave(account.actor, device)
    pass_by(clock, 61)
    assert (told_of(account), Mail.objects.count()) == ([], 1)


def test_a_device_in_maintenance_is_not_missed(account: Account, device: dict[str, Any], clock: Clock) -> None:
    leave(account.actor, device)
    devices.update(account.actor, device["id"], {"status": "maintenance"})
    pass_by(clock, 61)
    assert told_of(account) == [] and not waits(device)


def test_of_a_deleted_organization_nobody_is_told(account: Account, clock: Clock) -> None:
    spare = organizations.require(
        account.actor, str(organizations.create_own(account.actor, {"name": "Spare"}).id)
    )
    gone = make_device(spare)
    leave(spare, gone)
    deletions.delete(spare)
    pass_by(clock, 61)
    assert told_of(account) == [] and not waits(gone)


def test_redis_may_be_emptied_meanwhile(account: Account, device: dict[str, Any], clock: Clock) -> None:
    leave(account.actor, device)
    redis.current().client.flushdb()
    pass_by(clock, 61)
    assert len(told_of(account)) == 1


@pytest.mark.parametrize("where", ["notify", "send", "after"])
def test_whoever_dies_while_telling_is_taken_over_from_and_all_is_told_once(
    account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    other = make_account(role="operator", organization_id=account.actor.organization_id)
    made = [make_device(one.actor) for one in (account, other)]
    leave(account.actor, *made)

    def die(*_: Any, **__: Any) -> None:
        raise AutoReconnect("killed")

    with monkeypatch.context() as broken:
        if where == "after":
            broken.setattr(offline, "_tell", _then(offline._tell, die))
        else:
            part = {"notify": offline.notifications, "send": offline.mail}[where]
            broken.setattr(part, where, die)
        with pytest.raises(AutoReconnect):
            pass_by(clock, 61)
    assert all(waits(one) for one in made)
    offline.sweep()  # it is not known yet that nobody goes on with it
    heartbeats.beat(account.actor, make_device(account.actor)["id"], {})
    pass_by(clock, 61)
    for one in (account, other):
        assert len(told_of(one)) == 1
    assert sorted(mail.to for mail in Mail.objects) == sorted([account.email, other.email])
    assert not any(waits(one) for one in made)


def _then(do: Callable[..., None], die: Callable[..., None]) -> Callable[..., None]:
    def both(*arguments: Any) -> None:
        do(*arguments)
        die()

    return both


def test_who_comes_back_while_nobody_tells_is_not_told_of(
    account: Account, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [make_device(account.actor, name=name) for name in ("Boiler", "Pump")]
    leave(account.actor, *made)
    with monkeypatch.context() as broken:
        broken.setattr(offline, "_tell", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pass_by(clock, 61)
    heartbeats.beat(account.actor, made[0]["id"], {})
    pass_by(clock, 61)
    assert [item["title"] for item in told_of(account)] == ["Pump is offline"]


def test_two_who_sweep_at_once_tell_once(
    account: Account, device: dict[str, Any], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one does all of it between what this one reads and what it writes."""
    leave(account.actor, device)
    places, others = offline._places, []

    def meanwhile(rows: Any) -> Any:
        if not others:
            others.append(1)
            with system_clock.moved(timedelta(seconds=1)):
                offline.sweep()
        return places(rows)

    monkeypatch.setattr(offline, "_places", meanwhile)
    pass_by(clock, 61)
    assert len(told_of(account)) == Mail.objects.count() == 1


@pytest.mark.parametrize(
    ("now", "quiet", "due"),
    [
        ("12:00", ("22:00", "07:00"), "12:00"),
        ("21:59", ("22:00", "07:00"), "21:59"),
        ("22:00", ("22:00", "07:00"), "07:00+1"),
        ("06:59", ("22:00", "07:00"), "07:00"),
        ("07:00", ("22:00", "07:00"), "07:00"),
        ("12:30", ("12:00", "13:00"), "13:00"),
        ("13:00", ("12:00", "13:00"), "13:00"),
        ("12:30", ("12:00", "12:00"), "12:30"),
        ("12:30", None, "12:30"),
    ],
)
def test_what_is_due_in_quiet_hours_waits_for_their_end(now: str, quiet: Any, due: str) -> None:
    rule = {"grace_s": 0, "quiet": quiet and dict(zip(("start", "end"), quiet, strict=True))}
    held = rules.terms("Asia/Kolkata", None, rule)
    hour, _, days = due.partition("+")
    at = datetime.fromisoformat(f"2026-01-31T{now}+05:30").astimezone(UTC)
    wanted = datetime.fromisoformat(f"2026-01-31T{hour}+05:30") + timedelta(days=int(days or 0))
    assert held.due(at, at) == wanted
    assert held.due(at - timedelta(days=1), at) == wanted


def test_quiet_hours_end_by_the_clock_on_the_wall_also_when_it_is_put_back() -> None:
    """In Berlin 02:30 comes twice on 25 October 2026."""
    held = rules.terms("Europe/Berlin", {"grace_s": 0, "quiet": {"start": "22:00", "end": "02:30"}})
    first, again = (datetime(2026, 10, 25, hour, 10, tzinfo=UTC) for hour in (0, 1))
    assert [held.due(at, at).hour for at in (first, again)] == [0, 1]


def test_what_is_due_at_night_is_told_in_the_morning_unless_it_is_back(
    client: FlaskClient, account: Account, clock: Clock
) -> None:
    now = system_clock.now()
    hours = {"from": f"{now:%H:%M}", "to": f"{now + timedelta(hours=2):%H:%M}"}
    assert client.patch("/api/notifications/rules", json={"quietHours": hours}).status_code == 200
    made = [make_device(account.actor, name=name) for name in ("Boiler", "Pump")]
    leave(account.actor, *made)
    pass_by(clock, 90 * 60)
    assert told_of(account) == []
    heartbeats.beat(account.actor, made[0]["id"], {})
    pass_by(clock, 35 * 60)
    assert [item["title"] for item in told_of(account)] == ["Pump is offline"]


def test_a_rule_that_changes_counts_for_those_that_wait(
    account: Account, device: dict[str, Any], clock: Clock
) -> None:
    other = make_device(account.actor, name="Pump")
    rules.update(account.actor, {"grace_seconds": 7200})
    leave(account.actor, device, other)
    pass_by(clock, 600)
    assert told_of(account) == []
    rules.update_for(account.actor, other["id"], {"grace_seconds": 300})
    offline.sweep()
    assert [item["title"] for item in told_of(account)] == ["Pump is offline"]
    rules.update(account.actor, {"grace_seconds": 500})
    offline.sweep()
    assert [item["title"] for item in told_of(account)] == ["Pump is offline", "Boiler is offline"]

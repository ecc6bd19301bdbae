"""A storm over DeviceHub itself, and what is made of a server that does not say what it should."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from bson import ObjectId
from click.testing import CliRunner, Result
from flask import Flask

from devicehub.core.events import emit
from devicehub.devices.models import Device, PresenceChange
from devicehub.simulator import commands
from devicehub.simulator.client import Client
from devicehub.simulator.expectation import Terms
from devicehub.simulator.fleet import assemble
from devicehub.simulator.inspection import inspect
from devicehub.simulator.kept import Account as Credentials
from devicehub.simulator.listener import Listener
from devicehub.simulator.scenarios import Plan, Shot
from devicehub.simulator.session import Session
from devicehub.simulator.storm import Storm
from devicehub.simulator.verdict import Verdict
from tests import factories
from tests.conftest import LiveServer, wait_until
from tests.factories import Account, make_account

DEVICES = 4
CALM = Terms(interval=60, tolerance=10)
# All beat, the third of them three times at once, with a clock that is ahead.
PLAN = Plan([Shot(0, 3, 1, 90.0)] * 3 + [Shot(0.1, number, 1, -5000.0) for number in (1, 2, 4)], 0.2)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def passing(server: LiveServer, account: Account, plan: Plan, interval: int = 60) -> Iterator[Storm]:
    """A storm that has passed over a fleet, as far as its beats go."""
    with closing(Client(server.url)) as client:
        session = Session.begin(client, Credentials(account.email, factories.PASSWORD), print)
        fleet = assemble(session, DEVICES, 60, print)
        Device.objects.update(heartbeat_interval=interval)  # shorter than anybody may ask for
        storm = Storm(session, fleet, plan, connections=8)
        storm.start()
        wait_until(lambda: storm.tally.ok == len(plan.shots) or storm.failure, 30)
        storm.stop()
        yield storm
        storm.listener.stop()


def wrong(verdict: Verdict) -> set[str]:
    return {matter for matter, finding in verdict.findings.items() if not finding.is_right}


def test_devices_that_fall_silent_and_return_are_found_as_they_must_be(live_server: LiveServer) -> None:
    back = [Shot(6, number, 2) for number in (1, 2)]
    with passing(live_server, make_account(), Plan([*PLAN.shots, *back], 6.2), interval=1) as storm:
        verdict = inspect(storm, Terms(interval=1))
    assert verdict.is_right, verdict.divergences
    assert [verdict.findings[name].seen for name in ("online", "late", "offline")] == [6, 4, 0]
    assert verdict.findings["beats told"].seen == 8
    assert verdict.findings["explained clock offset"].seen == verdict.findings["history"].seen == DEVICES


def tell_again(account: Account, device_id: str) -> None:
    state = {"device_id": device_id, "status": "active", "presence": "online"}
    emit("device.status_changed", account.actor, **state, changes={"presence": "online"})


def tell_a_lie(account: Account, device_id: str) -> None:
    state = {"device_id": device_id, "status": "active", "presence": "late"}
    emit("device.status_changed", account.actor, **state, changes={"presence": "late"})


def tell_of_a_beat(account: Account, device_id: str) -> None:
    state = {"device_id": device_id, "status": "active", "presence": "online", "last_active_at": None}
    emit("device.heartbeat", account.actor, **state, metrics={})


def store(account: Account, device_id: str) -> None:
    Device.objects(id=ObjectId(device_id)).update(presence="late")


def forget(account: Account, device_id: str) -> None:
    PresenceChange.objects(device_id=ObjectId(device_id), presence_after="online").delete()


def mistake_its_clock(account: Account, device_id: str) -> None:
    Device.objects(id=ObjectId(device_id)).update(clock_offset_ms=0)


@pytest.mark.parametrize(
    ("spoil", "matters"),
    [
        (tell_again, {"online"}),
        (tell_a_lie, {"late"}),
        (tell_of_a_beat, {"beats told"}),
        (store, {"listed as online", "explained presence"}),
        (forget, {"history"}),
        (mistake_its_clock, {"explained clock offset"}),
    ],
)
def test_a_server_that_says_something_else_is_found_out(
    live_server: LiveServer, spoil: Callable[[Account, str], None], matters: set[str]
) -> None:
    account = make_account()
    with passing(live_server, account, PLAN) as storm:
        device_id = storm.fleet[2].id
        wait_until(lambda: storm.listener.beats.total() == len(PLAN.shots))
        spoil(account, device_id)
        heard = {"tell_again": 2, "tell_a_lie": 2}.get(spoil.__name__, 1)
        wait_until(lambda: len(storm.listener.told[device_id]) == heard)
        beats = 2 if spoil is tell_of_a_beat else 1
        wait_until(lambda: storm.listener.beats[device_id] == beats)
        assert wrong(inspect(storm, CALM)) == matters


def test_a_listener_that_is_cut_off_hears_what_it_missed_once(live_server: LiveServer) -> None:
    account = make_account()
    with closing(Client(live_server.url)) as client:
        listener = Listener(Session.begin(client, Credentials(account.email, factories.PASSWORD), print))
        listener.start()
        device_id = factories.make_device(account.actor)["id"]
        tell_a_lie(account, device_id)
        wait_until(lambda: listener.told[device_id])
        assert listener._opened
        listener._opened.close()
        tell_again(account, device_id)
        wait_until(lambda: len(listener.told[device_id]) == 2, 20)
        listener.stop()
    assert [told.to for told in listener.told[device_id]] == ["late", "online"]
    assert (listener.times_cut, listener.gaps, listener.disorder) == (1, 0, 0)


# The command


def typed(server: LiveServer, *arguments: str) -> Result:
    pace = ("--scenario", "silent", "--devices", str(DEVICES), "--url", server.url)
    return CliRunner().invoke(commands.simulate, [*pace, *arguments])


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(commands.SCENARIOS, "silent", lambda *_: PLAN)


@pytest.mark.usefixtures("_short")
def test_a_storm_ends_with_a_table_of_what_was_expected_and_seen(live_server: LiveServer) -> None:
    for said in ("4 registered", "4 devices found"):
        result = typed(live_server, "--tolerance", "3s")
        assert result.exit_code == 0, result.output
        assert said in result.output
        assert "silent: what was said, beside what had to be" in result.output
        assert "double" in result.output
    assert {device.heartbeat_interval for device in Device.objects} == {5}


@pytest.mark.usefixtures("_short")
def test_devices_of_a_slower_run_are_held_to_the_interval_of_this_one(live_server: LiveServer) -> None:
    assert typed(live_server, "--interval", "30").exit_code == 0
    assert typed(live_server, "--interval", "10").exit_code == 0
    assert {device.heartbeat_interval for device in Device.objects} == {10}


@pytest.mark.usefixtures("_short")
def test_a_divergence_makes_the_run_a_failure(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listener, "online", property(lambda listener: listener.told.clear() or 0))
    monkeypatch.setattr(commands, "LEAD_S", 1.0)
    result = typed(live_server)
    assert result.exit_code == 1
    assert "SIM-000001: online missing" in result.output

"""The fleet against DeviceHub itself."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from flask import Flask

from devicehub.auth import keys
from devicehub.devices import keys as device_keys
from devicehub.devices.models import DeviceKey
from devicehub.simulator.behaviour import Steady
from devicehub.simulator.client import Client
from devicehub.simulator.commands import simulate
from devicehub.simulator.fleet import assemble
from devicehub.simulator.kept import Account
from devicehub.simulator.runner import Run
from devicehub.simulator.session import Session
from tests import factories
from tests.conftest import LiveServer, wait_until
from tests.factories import make_account
from tests.simulator.test_report import figures


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(server: LiveServer, *arguments: str, devices: int = 3, seconds: float = 1) -> Result:
    pace = ("--devices", str(devices), "--interval", f"{seconds / 4}s", "--for", f"{seconds}s")
    return CliRunner().invoke(simulate, [*pace, "--url", server.url, *arguments])


def kept_account(server: LiveServer) -> dict[str, str]:
    account: dict[str, str] = json.loads(Path("var/simulate.json").read_text())[server.url]
    return account


def listed(server: LiveServer, account: dict[str, str], **query: object) -> dict[str, object]:
    """The devices as that account sees them."""
    token = httpx.post(f"{server.url}/api/auth/login", json=account).json()["accessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    found: dict[str, object] = httpx.get(f"{server.url}/api/devices", params=query, headers=headers).json()
    return found


def test_a_stranger_sees_a_fleet_come_alive_without_an_error(live_server: LiveServer) -> None:
    result = run(live_server, devices=20, seconds=2)
    said = figures(result.stdout[result.stdout.index("sent") :])
    assert result.exit_code == 0, result.output
    assert said["errors"] == "0"
    assert said["ok"] == said["sent"]
    online = listed(live_server, kept_account(live_server), presence="online", limit=100)
    assert online["pagination"]["total"] == 20
    assert all(device["metrics"] and device["firmwareVersion"] for device in online["items"])
    assert {device["heartbeatInterval"] for device in online["items"]} == {5}


def test_the_next_day_the_same_fleet_goes_on(live_server: LiveServer) -> None:
    run(live_server)
    account = kept_account(live_server)
    result = run(live_server, devices=4)
    assert result.exit_code == 0, result.output
    assert "3 devices found by serial number, 1 registered." in result.output
    assert kept_account(live_server) == account
    assert listed(live_server, account)["pagination"]["total"] == 4


def test_an_operator_beats_a_fleet_for_his_organization(live_server: LiveServer) -> None:
    operator = make_account(role="operator")
    result = run(live_server, "--email", operator.email, "--password", factories.PASSWORD)
    account = {"email": operator.email, "password": factories.PASSWORD}
    assert result.exit_code == 0, result.output
    assert listed(live_server, account, presence="online")["pagination"]["total"] == 3


def test_a_viewer_is_told_that_he_may_not(live_server: LiveServer) -> None:
    viewer = make_account(role="viewer")
    result = run(live_server, "--email", viewer.email, "--password", factories.PASSWORD)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {live_server.url} refused: 403 INSUFFICIENT_ROLE")


def test_a_beat_over_the_limit_is_counted_and_its_device_left_alone(serve: Callable[..., LiveServer]) -> None:
    result = run(serve(INGEST_RATE_LIMIT="2"), devices=1)
    said = figures(result.stdout[result.stdout.index("sent") :])
    assert result.exit_code == 1
    assert (said["sent"], said["ok"], said["errors"]) == ("3", "2", "1")
    assert any(name.startswith("429 ") for name in said)


def test_a_fleet_outlives_the_end_of_all_sessions_and_then_of_all_its_keys(live_server: LiveServer) -> None:
    person = make_account()
    with closing(Client(live_server.url)) as client:
        session = Session.begin(client, Account(person.email, factories.PASSWORD), print)
        fleet = Run(session, assemble(session, 8, 5, print), Steady(0.1), connections=8)
        fleet.start()
        wait_until(lambda: fleet.tally.ok >= 8)
        httpx.post(f"{live_server.url}/api/auth/logout-all", headers=person.headers).raise_for_status()
        before = fleet.tally.ok
        wait_until(lambda: fleet.tally.ok >= before + 24)
        keys.end(device_keys.KIND, DeviceKey.objects)
        before = fleet.tally.ok
        wait_until(lambda: fleet.tally.ok >= before + 24)
        fleet.stop()
    assert fleet.failure is None
    assert fleet.tally.clean


def test_it_beats_as_the_devices_themselves(live_server: LiveServer) -> None:
    assert run(live_server).exit_code == 0
    uses_noted = wait_until(
        lambda: [key for key in DeviceKey.objects if key.last_used_at], what="their last use to be written"
    )
    assert len(uses_noted) <= len(DeviceKey.objects) == 3

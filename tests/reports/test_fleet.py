"""The device report: each device of the organization once, as it is, and how available it was."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.reports import fleet
from devicehub.reports import service as reports
from devicehub.reports.report import Report
from tests.factories import Account, log_in, make_account, make_device


def rows(report: Report) -> list[dict[str, Any]]:
    names = [column.name for column in report.main.columns]
    return [dict(zip(names, row, strict=True)) for row in report.main.rows()]


def counts(report: Report, chart_id: str) -> dict[str, float | None]:
    [chart] = [one for one in report.charts if one.id == chart_id]
    return dict(zip(chart.labels, chart.series[0].data, strict=True))


def of(account: Account, *device_ids: str, include_inactive: bool = False) -> Report:
    return reports.device_report(account.actor, device_ids=device_ids, include_inactive=include_inactive)


@pytest.mark.actor()
def test_it_tells_of_ones_own_devices_and_of_no_others(account: Account) -> None:
    theirs = make_device(make_account().actor)["id"]
    made = make_device(
        account.actor, serial_number="=1", location="Cellar", tags=["a", "b"], heartbeat_interval=30
    )
    [row] = rows(of(account))
    assert row.pop("createdAt") is not None
    assert row == {
        "deviceId": made["id"],
        "deviceName": made["name"],
        "deviceType": "sensor",
        "status": "active",
        "presence": "never_seen",
        "lastActiveAt": None,
        "availability": None,
        "serialNumber": "=1",
        "location": "Cellar",
        "tags": "a, b",
        "firmwareVersion": None,
        "heartbeatInterval": 30,
        "ownerId": account.actor.user_id,
        "owner": "Ada Lovelace",
    }
    assert rows(of(account, theirs, "x")) == []


@pytest.mark.actor(role="operator")
def test_only_administrators_are_told_the_names_of_owners(account: Account) -> None:
    make_device(account.actor)
    [row] = rows(of(account))
    assert "owner" not in row and row["ownerId"] == account.actor.user_id


@pytest.mark.actor()
def test_inactive_ones_are_in_it_if_they_are_asked_for(account: Account) -> None:
    active, inactive = (make_device(account.actor, status=status)["id"] for status in ("active", "inactive"))
    assert [row["deviceId"] for row in rows(of(account))] == [active]
    assert [row["deviceId"] for row in rows(of(account, include_inactive=True))] == [inactive, active]
    assert rows(of(account, inactive)) == []
    assert counts(of(account, include_inactive=True), "status") == {"active": 1, "inactive": 1}


@pytest.mark.actor()
def test_charts_count_what_the_table_lists(account: Account) -> None:
    for number in range(5):
        make_device(account.actor, type="pump" if number % 2 else "sensor")
    found = of(account)
    assert counts(found, "types") == {"sensor": 3, "pump": 2}
    assert counts(found, "presence") == {"never_seen": 5}
    assert found.main.count == len(rows(found)) == 5


@pytest.mark.actor()
def test_a_fleet_is_read_some_at_a_time_and_each_device_comes_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "BATCH", 3)
    made = {make_device(account.actor)["id"] for _ in range(10)}
    listed = [row["deviceId"] for row in rows(of(account))]
    assert len(listed) == 10 and {*listed} == made


@pytest.mark.actor()
def test_availability_is_that_of_the_device_itself(
    client: FlaskClient, account: Account, clock: Callable[[float], None]
) -> None:
    made = [make_device(account.actor)["id"] for _ in range(3)]
    for device_id in made[:2]:
        client.post(f"/api/devices/{device_id}/heartbeat", json={})
    clock(30)
    client.post(f"/api/devices/{made[0]}/heartbeat", json={"goodbye": True})
    clock(30)
    told = {row["deviceId"]: row["availability"] for row in rows(of(account))}
    assert told[made[2]] is None
    for device_id in made[:2]:
        path = f"/api/devices/{device_id}/presence/availability?range=30d"
        alone = client.get(path, headers=log_in(account.email).headers).json["availability"]
        assert told[device_id] == pytest.approx(alone, abs=5)
    assert told[made[0]] == pytest.approx(50, abs=10) and told[made[1]] == 100

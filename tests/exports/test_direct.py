"""A device's logs as a file, at once."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.exports import direct
from tests.exports.conftest import ago, rows_of, write_logs
from tests.factories import Account, make_account, make_device
from tests.web.refusals import refused


def at(device: Any, **query: str) -> str:
    asked = {"from": ago(days=7), "to": ago(minutes=-1)} | query
    return f"/api/devices/{device['id']}/logs/export?" + "&".join(
        f"{name}={value}" for name, value in asked.items()
    )


def test_a_stranger_gets_nothing(client: FlaskClient) -> None:
    device = make_device(make_account().actor)
    refused(client.get(at(device)), 401, "AUTHENTICATION_REQUIRED")
    refused(client.get(at(device), headers=make_account().headers), 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor("operator")
def test_the_devices_logs_come_as_an_attachment(client: FlaskClient, account: Account, device: Any) -> None:
    write_logs(account.actor, device["id"], {"event": "a"}, {"event": "b", "level": "error"})
    write_logs(account.actor, make_device(account.actor)["id"], {"event": "c"})

    answer = client.get(at(device))

    assert [row["event"] for row in rows_of(answer.data)] == ["a", "b"]
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=logs_")
    assert (answer.content_type, answer.headers["Cache-Control"]) == (
        "text/csv; charset=utf-8",
        "private, no-store",
    )
    assert [row["event"] for row in rows_of(client.get(at(device, level="error")).data)] == ["b"]
    assert [one["event"] for one in client.get(at(device, format="json", event="a")).json] == ["a"]
    assert client.get(at(device, format="ndjson")).data.count(b"\n") == 2
    assert b",a,b\r\n" in client.get(at(device, layout="wide")).data
    assert client.get(f"/api/devices/{device['id']}/logs/export").data == answer.data


@pytest.mark.actor("operator")
def test_what_is_too_much_for_an_answer_is_refused_before_it_begins(
    client: FlaskClient, account: Account, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "MOST", 2)
    write_logs(account.actor, device["id"], {"event": "a"}, {"event": "b"})
    assert client.get(at(device)).status_code == 200
    write_logs(account.actor, device["id"], {"event": "c"})
    refused(client.get(at(device)), 422, "EXPORT_TOO_LARGE")


@pytest.mark.actor("operator")
def test_what_makes_no_sense_is_refused(client: FlaskClient, device: Any) -> None:
    assert client.get(at(device, format="xlsx")).status_code == 422
    assert client.get(at(device, layout="wide", format="json")).status_code == 422
    assert client.get(at(device, **{"from": "yesterday"})).status_code == 422
    refused(client.get(at(device, to=ago(days=8))), 422, "INVALID_DATE_RANGE")

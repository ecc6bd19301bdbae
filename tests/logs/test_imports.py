"""Imports through the front door: who may, what is taken of a file, and what is said of the rest."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import clock, mongo
from devicehub.devices import keys
from devicehub.jobs.models import Job
from devicehub.logs import importing, imports, jobs
from devicehub.logs.models import Import, ImportPart
from tests.conftest import wait_until
from tests.factories import Account, bearing, log_in, make_account, make_api_key, make_device
from tests.jobs.inline import run_due_jobs
from tests.logs.test_rollups import everything_is_counted_once
from tests.web.refusals import refused

PATH = "/api/logs/import"
NDJSON, CSV = "application/x-ndjson", "text/csv"


def ago(**span: float) -> str:
    return clock.rfc3339(clock.now() - timedelta(**span))


def ndjson(many: list[Any]) -> bytes:
    return b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in many)


def as_csv(header: list[str], rows: list[list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


@pytest.fixture
def device(account: Account) -> Any:
    return make_device(account.actor, serial_number="SN-1")


@pytest.fixture
def send(client: FlaskClient) -> Callable[..., Any]:
    def sending(body: bytes, kind: str = NDJSON, **headers: str) -> Any:
        return client.post(PATH, data=body, content_type=kind, headers=headers)

    return sending


@pytest.fixture
def a_few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job does what has more than 20 lines, 10 at a time."""
    monkeypatch.setattr(imports, "AT_ONCE", 20)
    monkeypatch.setattr("devicehub.logs.importing.GROUP", 10)


def lines_of(device: Any, number: int) -> bytes:
    return ndjson([{"deviceId": device["id"], "event": "on", "metadata": {"line": n}} for n in range(number)])


def written() -> list[int]:
    """Which lines have become logs."""
    return sorted(row["metadata"]["line"] for row in mongo.database()["logs"].find({}, {"metadata": 1}))


@pytest.mark.parametrize(("number", "is_kept"), [(10_000, False), (10_001, True)])
def test_of_more_than_ten_thousand_lines_a_job_does_it(
    monkeypatch: pytest.MonkeyPatch, number: int, is_kept: bool
) -> None:
    nobody: Any = None
    kept: list[int] = []
    monkeypatch.setattr(importing, "write", lambda *_: importing.Outcome())
    monkeypatch.setattr(imports, "keep", lambda _actor, _id, lines: kept.append(len(list(lines))))
    imports.add(nobody, [(n, {}, None) for n in range(number)])
    assert kept == [number] * is_kept


def test_a_stranger_imports_nothing(client: FlaskClient) -> None:
    body = ndjson([{"deviceId": make_device(make_account().actor)["id"], "event": "on"}])
    for path in (PATH, "/api/logs/imports/65f0a1b2c3d4e5f6a7b8c9d2/cancel"):
        refused(client.post(path, data=body, content_type=NDJSON), 401, "AUTHENTICATION_REQUIRED")
    for path in ("/api/logs/imports", "/api/logs/imports/65f0a1b2c3d4e5f6a7b8c9d2"):
        refused(client.get(path), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_the_devices_of_another_organization_are_unknown(send: Any, device: Any) -> None:
    theirs = make_device(make_account().actor, serial_number="SN-2")
    told = send(ndjson([{"deviceId": theirs["id"], "event": "on"}, {"serialNumber": "SN-2", "event": "on"}])).json
    assert (told["lines"], told["accepted"], told["rejected"]) == (2, 0, 2)
    assert told["errors"] == [
        {"line": 1, "errors": {"deviceId": ["No such device."]}},
        {"line": 2, "errors": {"serialNumber": ["No such device."]}},
    ]
    assert mongo.database()["logs"].count_documents({}) == 0


@pytest.mark.actor()
def test_a_viewer_a_device_and_a_key_without_the_scope_may_not(client: FlaskClient, account: Account) -> None:
    device = make_device(account.actor)
    viewer = make_account(role="viewer", organization_id=account.actor.organization_id)
    refusals = {
        "INSUFFICIENT_ROLE": viewer.headers,
        "FORBIDDEN": bearing(keys.create(account.actor, device["id"])[1]),
        "INSUFFICIENT_SCOPE": bearing(make_api_key(account.actor, "logs:read")),
    }
    for code, headers in refusals.items():
        answer = client.post(PATH, data=lines_of(device, 1), content_type=NDJSON, headers=headers)
        refused(answer, 403, code)
    key = bearing(make_api_key(account.actor, "logs:write"))
    assert client.post(PATH, data=lines_of(device, 1), content_type=NDJSON, headers=key).json["accepted"] == 1


@pytest.mark.actor()
def test_each_line_is_judged_by_itself(send: Any, client: FlaskClient, device: Any) -> None:
    at = ago(days=60)
    many = [
        {"deviceId": device["id"], "event": "units_consumed", "value": 1.5, "timestamp": at, "sequence": 4},
        b"",
        {"serialNumber": "SN-1", "event": "on", "level": "error", "message": "Ünits", "metadata": {"a": [1]}},
        {"serial_number": "SN-1", "event": "on", "sequence": 4},
        {"event": "on"},
        {"deviceId": device["id"], "serialNumber": "SN-1", "event": "on"},
        {"deviceId": device["id"], "event": "", "colour": "red"},
        {"deviceId": device["id"], "event": "on", "timestamp": ago(days=91)},
        b'{"deviceId": ',
        b"\xff\xfe",
        b'{"event": "on", "metadata": {"n": 1e400}}',
        [1],
        {"deviceId": 7, "event": "on"},
        {"deviceId": device["id"], "event": "on", "message": "x" * 30_000},
    ]
    told = send(b"\xef\xbb\xbf" + ndjson(many) + b"\r\n").json
    assert (told["lines"], told["accepted"], told["duplicates"], told["rejected"]) == (13, 2, 1, 10)
    assert {each["line"]: sorted(each["errors"]) for each in told["errors"]} == {
        5: ["deviceId"],
        6: ["deviceId"],
        7: ["colour", "event"],
        8: ["timestamp"],
        9: ["_schema"],
        10: ["_schema"],
        11: ["_schema"],
        12: ["_schema"],
        13: ["deviceId"],
        14: ["_schema"],
    }
    newest, oldest = client.get(f"/api/devices/{device['id']}/logs").json["items"]
    assert (newest["message"], newest["level"], newest["metadata"]) == ("Ünits", "error", {"a": [1]})
    assert (oldest["timestamp"], oldest["value"], oldest["sequence"]) == (at, 1.5, 4)


@pytest.mark.actor()
def test_what_is_old_is_counted_in_its_own_time(send: Any, client: FlaskClient, device: Any) -> None:
    at = clock.now() - timedelta(days=50)
    told = send(ndjson([{"deviceId": device["id"], "event": "units_consumed", "value": n, "timestamp":
                         clock.rfc3339(at + timedelta(hours=n))} for n in range(48)]))  # fmt: skip
    assert told.json["accepted"] == everything_is_counted_once() == 48
    start, end = (clock.rfc3339(at + timedelta(hours=hours)) for hours in (-1, 49))
    found = client.get(f"/api/devices/{device['id']}/usage?from={start}&to={end}").json
    assert found["summary"]["totalUnits"] == sum(range(48))


@pytest.mark.actor()
def test_retention_says_how_far_back_it_may_reach(
    send: Any, client: FlaskClient, account: Account, device: Any
) -> None:
    path = f"/api/organizations/{account.actor.organization_id}"
    assert client.patch(path, json={"logRetentionDays": 40}).status_code == 200
    lines = [{"deviceId": device["id"], "event": "on", "timestamp": ago(days=days)} for days in (39, 41)]
    told = send(ndjson(lines)).json
    assert (told["accepted"], [each["line"] for each in told["errors"]]) == (1, [2])


@pytest.mark.actor()
def test_csv_is_read_with_its_quotes_its_columns_and_its_empty_cells(
    send: Any, client: FlaskClient, device: Any
) -> None:
    header = ["serialNumber", "event", "value", "message", "metadata", "sequence"]
    rows = [
        ["SN-1", "on", "1.5", 'Said "off",\nthen on', '{"a": 1}', "7"],
        ["SN-1", "off", "", "", "", ""],
        ["SN-1", "off", "warm", "", "", ""],
        ["SN-1", "off", "", "", "[1]", "x"],
        ["SN-1", "off"],
    ]
    told = send(b"\xef\xbb\xbf" + as_csv(header, rows), CSV + "; charset=utf-8").json
    assert (told["lines"], told["accepted"]) == (5, 2)
    assert {each["line"]: sorted(each["errors"]) for each in told["errors"]} == {
        5: ["value"],
        6: ["metadata", "sequence"],
        7: ["_schema"],
    }
    listed = client.get(f"/api/devices/{device['id']}/logs?event=on").json["items"]
    assert [(log["value"], log["message"], log["metadata"], log["sequence"]) for log in listed] == [
        (1.5, 'Said "off",\nthen on', {"a": 1}, 7)
    ]


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", NDJSON, 422, "VALIDATION_ERROR"),
        (b"\n \n", NDJSON, 422, "VALIDATION_ERROR"),
        (b"", CSV, 422, "VALIDATION_ERROR"),
        (b"deviceId,event\n", CSV, 422, "VALIDATION_ERROR"),
        (b"deviceId,colour\n1,red\n", CSV, 422, "VALIDATION_ERROR"),
        (b"deviceId,event,event\n1,on,on\n", CSV, 422, "VALIDATION_ERROR"),
        (b'deviceId,event\n1,"on\n', CSV, 400, "MALFORMED_REQUEST"),
        (b"deviceId,event\n1,\xff\n", CSV, 400, "MALFORMED_REQUEST"),
        (b"{}", "application/json", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"x" * (11 << 20), NDJSON, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_what_is_no_file_of_lines_is_refused(send: Any, body: bytes, kind: str, status: int, code: str) -> None:
    refused(send(body, kind), status, code)
    assert ImportPart.objects.count() == 0


@pytest.mark.actor()
def test_only_the_first_thousand_errors_are_told(send: Any) -> None:
    told = send(b"{}\n" * 1200).json
    assert (told["rejected"], len(told["errors"]), told["errorsCut"]) == (1200, 1000, True)
    assert told["errors"][-1]["line"] == 1000


@pytest.mark.actor()
def test_the_same_import_under_its_key_is_done_once(send: Any, device: Any) -> None:
    body = lines_of(device, 30)
    first, again = (send(body, **{"Idempotency-Key": "backfill"}) for _ in range(2))
    assert first.json == again.json
    assert again.headers["Idempotent-Replayed"] == "true"
    refused(send(body + b"\n{}", **{"Idempotency-Key": "backfill"}), 422, "IDEMPOTENCY_KEY_REUSED")
    assert written() == list(range(30))


@pytest.mark.actor()
def test_a_twin_of_one_that_died_half_way_writes_what_is_missing(send: Any, device: Any, clock: Any) -> None:
    body, key = lines_of(device, 30), {"Idempotency-Key": "backfill"}
    send(body, **key)
    logs = mongo.database()["logs"]
    logs.delete_many({"metadata.line": {"$gte": 10}})
    mongo.database()["idempotency_keys"].update_many({}, {"$set": {"answer": None}})
    clock(61)
    assert send(body, **key).json["accepted"] == 30
    assert written() == list(range(30))


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_many_lines_are_written_by_a_job_that_tells_how_far_it_is(
    send: Any, client: FlaskClient, device: Any
) -> None:
    answer = send(lines_of(device, 35) + b"\n{}")
    path = answer.headers["Location"]
    assert (answer.status_code, path, answer.json["status"]) == (
        202,
        f"/api/logs/imports/{answer.json['id']}",
        "pending",
    )
    assert answer.json["progress"] == {
        "percentage": 0.0, "currentStep": "importing logs", "processedRecords": 0, "totalRecords": 36,
    }  # fmt: skip
    [job] = run_due_jobs("logs.import")
    assert (job.status, job.error) == ("completed", {})
    told = client.get(path).json
    assert (told["status"], told["progress"]["percentage"], told["error"]) == ("completed", 100.0, None)
    result = told["result"]
    assert (result["lines"], result["accepted"], result["rejected"], result["errorsCut"]) == (36, 35, 1, False)
    assert [each["line"] for each in result["errors"]] == [36]
    assert written() == list(range(35)) and everything_is_counted_once() == 35
    assert ImportPart.objects.count() == 0
    refused(client.post(f"{path}/cancel"), 409, "JOB_IS_OVER")


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_a_file_that_breaks_off_after_many_lines_leaves_nothing(send: Any) -> None:
    refused(send(b"deviceId,event\n" + b"1,on\n" * 30 + b'1,"on', CSV), 400, "MALFORMED_REQUEST")
    asked = Job.objects(name="logs.import").count()
    assert (ImportPart.objects.count(), Import.objects.count(), asked) == (0, 0, 0)


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_an_import_is_its_importers_own(
    send: Any, client: FlaskClient, account: Account, device: Any, client_of: Callable[[Account], FlaskClient]
) -> None:
    path = send(lines_of(device, 30)).headers["Location"]
    colleague = make_account(role="admin", organization_id=account.actor.organization_id)
    for other in (make_account(), colleague):
        stranger = client_of(other)
        refused(stranger.get(path), 404, "IMPORT_NOT_FOUND")
        refused(stranger.post(f"{path}/cancel"), 404, "IMPORT_NOT_FOUND")
        assert stranger.get("/api/logs/imports").json["items"] == []
    assert [each["id"] for each in client.get("/api/logs/imports").json["items"]] == [path.rpartition("/")[2]]


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_imports_are_listed_the_newest_first(send: Any, client: FlaskClient, device: Any) -> None:
    made = [send(lines_of(device, 30)).json["id"] for _ in range(3)]
    first = client.get("/api/logs/imports?limit=2").json
    rest = client.get(f"/api/logs/imports?cursor={first['pagination']['nextCursor']}").json
    assert [each["id"] for each in first["items"] + rest["items"]] == made[::-1]


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_one_that_waits_is_called_off_at_once(send: Any, client: FlaskClient, device: Any) -> None:
    path = send(lines_of(device, 30)).headers["Location"]
    told = client.post(f"{path}/cancel").json
    assert (told["status"], told["result"]["accepted"]) == ("cancelled", 0)
    assert run_due_jobs("logs.import") == [] and ImportPart.objects.count() == 0


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_of_one_that_is_called_off_half_way_stays_what_is_written(
    send: Any, client: FlaskClient, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, run = send(lines_of(device, 50)).headers["Location"], imports.run

    def interrupted(*arguments: Any) -> Any:
        for done, total in run(*arguments):
            if done == 20:
                client.post(f"{path}/cancel")
                wait_until(lambda: False, what="its worker to be interrupted")
            yield done, total

    monkeypatch.setattr(jobs.imports, "run", interrupted)
    run_due_jobs("logs.import")
    told = client.get(path).json
    assert (told["status"], told["progress"]["percentage"]) == ("cancelled", 40.0)
    assert told["result"]["accepted"] == 20 and written() == list(range(20))
    assert everything_is_counted_once() == 20 and ImportPart.objects.count() == 0


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_one_whose_importer_may_write_no_more_is_given_up(
    send: Any, client: FlaskClient, account: Account
) -> None:
    operator = make_account(role="operator", organization_id=account.actor.organization_id)
    device = make_device(account.actor)
    path = client.post(PATH, data=lines_of(device, 30), content_type=NDJSON, headers=operator.headers).headers[
        "Location"
    ]
    members = f"/api/organizations/{account.actor.organization_id}/members/{operator.actor.user_id}"
    assert client.patch(members, json={"role": "viewer"}).status_code == 200
    [job] = run_due_jobs("logs.import")
    assert (job.status, written()) == ("failed", [])
    told = client.get(path, headers=operator.headers)
    refused(told, 401, "TOKEN_STALE")
    again = log_in(operator.email).headers
    assert client.get(path, headers=again).json["error"] == "FORBIDDEN"


@pytest.mark.actor()
@pytest.mark.usefixtures("a_few_are_many")
def test_what_is_left_of_those_that_failed_goes_at_night_and_of_no_other(
    send: Any, device: Any, account: Account, clock: Any
) -> None:
    ended, waiting = (send(lines_of(device, 30)).json["id"] for _ in range(2))
    Job.objects(key=f"logs.import:{ended}").update(set__status="failed")
    organization_id = ObjectId(account.actor.organization_id)
    imports.drop_sources_of_ended(organization_id)
    assert ImportPart.objects.count() == 6  # somebody might be about to ask for its job
    clock(3601)
    imports.drop_sources_of_ended(organization_id)
    assert {str(part.import_id) for part in ImportPart.objects} == {waiting}

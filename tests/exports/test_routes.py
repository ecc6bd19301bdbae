"""Exports through the front door: who may ask for what, what comes of it, and whose it is."""

import gzip
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import mongo
from devicehub.core.files import Stored, Writer
from devicehub.exports import expiry
from devicehub.jobs import service as jobs
from devicehub.jobs.models import Job
from devicehub.web import openapi
from tests.exports.conftest import AT, Ask, Download, ago, rows_of, wanted, write_logs
from tests.factories import Account, bearing, go_on_in, join, log_in, make_account, make_api_key, make_device
from tests.jobs.inline import run_due_jobs, run_job
from tests.web.refusals import refused

ClientOf = Callable[[Account], FlaskClient]


def files() -> int:
    db = mongo.database()
    return db["exports.files"].count_documents({}) + db["exports.chunks"].count_documents({})


def at(export: Any, rest: str = "") -> str:
    return f"{AT}/{export['jobId']}{rest}"


@pytest.mark.parametrize("path", ["/jobs", "/stats", "/jobs/{}", "/jobs/{}/download"])
def test_a_stranger_sees_nothing(client: FlaskClient, path: str) -> None:
    path = path.format(ObjectId())
    refused(client.get(f"/api/export{path}"), 401, "AUTHENTICATION_REQUIRED")
    refused(client.post(AT, json=wanted()), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor("viewer")
def test_nobody_elses_export_is_there_not_even_for_an_admin_of_the_same_organization(
    client: FlaskClient, client_of: ClientOf, account: Account, make: Ask
) -> None:
    export = make()
    colleague = make_account(role="admin", organization_id=account.actor.organization_id)
    for other in (client_of(colleague), client_of(make_account())):
        refused(other.get(at(export)), 404, "EXPORT_NOT_FOUND")
        refused(other.delete(at(export)), 404, "EXPORT_NOT_FOUND")
        refused(other.post(at(export, "/cancel")), 404, "EXPORT_NOT_FOUND")
        refused(other.get(at(export, "/download")), 404, "EXPORT_NOT_FOUND")
        refused(other.get(at(export, "/download"), headers={"Range": "bytes=0-9"}), 404, "EXPORT_NOT_FOUND")
        assert other.get(AT).json["items"] == []
        assert other.get("/api/export/stats").json["total"] == 0
    assert client.get(at(export, "/download")).status_code == 200


@pytest.mark.actor("operator")
def test_two_users_downloads_are_not_swapped_by_any_id_name_path_or_range(
    client: FlaskClient, client_of: ClientOf, ask: Ask
) -> None:
    neighbour = make_account()
    write_logs(neighbour.actor, make_device(neighbour.actor)["id"], {"message": "theirs"})
    theirs = client_of(neighbour).post(AT, json=wanted()).json["jobId"]
    ours = ask()["jobId"]
    file, own = run_job(theirs).result, run_job(ours).result

    names = (theirs, theirs.upper(), str(file["file_id"]), file["file_name"])
    paths = [*names, *(f"{ours}/../{name}" for name in names), *(f"{ours}%2F..%2F{name}" for name in names)]
    for path in paths:
        for headers in ({}, {"Range": "bytes=0-"}, {"Range": "bytes=0-", "If-Range": f'"{file["sha256"]}"'}):
            answer = client.get(f"{AT}/{path}/download", headers=headers)
            assert answer.status_code == 404
            assert b"theirs" not in answer.data
    for headers in ({"Range": "bytes=0-99999999"}, {"If-Range": f'"{file["sha256"]}"', "Range": "bytes=0-"}):
        answer = client.get(f"{AT}/{ours}/download", headers=headers)
        assert (len(answer.data), b"theirs" in answer.data) == (own["file_size"], False)


@pytest.mark.actor("viewer")
def test_who_is_no_member_any_more_fetches_nothing_and_nothing_is_kept_of_it(
    client_of: ClientOf, account: Account
) -> None:
    owner = make_account()
    organization_id = owner.actor.organization_id
    join(account, organization_id, role="viewer")
    guest = client_of(go_on_in(account, organization_id))
    export = guest.post(AT, json=wanted()).json
    run_job(export["jobId"])
    assert guest.get(at(export, "/download")).status_code == 200

    path = f"/api/organizations/{organization_id}/members/{account.actor.user_id}"
    assert client_of(owner).delete(path).status_code == 204

    assert guest.get(at(export, "/download")).status_code in (401, 403, 404)
    run_due_jobs("exports.forget_member")
    assert (files(), Job.objects(id=export["jobId"]).first()) == (0, None)


@pytest.mark.actor("operator")
def test_an_export_is_asked_for_made_and_fetched(
    client: FlaskClient, account: Account, device: Any, ask: Ask, download: Download
) -> None:
    write_logs(
        account.actor,
        device["id"],
        {"event": "units_consumed", "value": 0.75, "message": 'Said "on"\nand left', "metadata": {"a": [1, "ü"]}},
        {"event": "=HYPERLINK(1)", "value": -1.0, "level": "error", "message": "-1 is a text", "sequence": 7},
    )

    export = ask()
    assert (export["status"], export["type"], export["format"]) == ("pending", "logs", "csv")
    assert export["progress"]["processedRecords"] == 0
    refused(client.get(at(export, "/download")), 409, "EXPORT_NOT_READY")
    run_job(export["jobId"])
    export = client.get(at(export)).json

    assert (export["status"], export["attempts"], export["error"]) == ("completed", 1, None)
    assert export["progress"]["percentage"] == 100
    content, result = download(export), export["result"]
    assert (result["recordCount"], result["fileSize"], result["downloadCount"]) == (2, len(content), 0)
    assert result["sha256"] == hashlib.sha256(content).hexdigest()
    first, second = rows_of(content)
    assert (first["deviceName"], first["event"], first["value"]) == ("Boiler", "units_consumed", "0.75")
    assert (first["message"], orjson.loads(first["metadata"])) == ('Said "on"\nand left', {"a": [1, "ü"]})
    assert (second["event"], second["value"], second["message"]) == ("'=HYPERLINK(1)", "-1.0", "'-1 is a text")
    assert (second["level"], second["sequence"]) == ("error", "7")
    assert client.get("/api/export/stats").json == {
        "total": 1,
        "byStatus": dict.fromkeys(("pending", "processing", "failed", "cancelled", "expired"), 0)
        | {"completed": 1},
        "bytes": len(content),
        "records": 2,
        "downloads": 1,
    }


@pytest.mark.actor("operator")
@pytest.mark.parametrize("shape", ["csv", "json", "ndjson"])
def test_every_format_has_the_same_logs_as_the_list_of_them(
    client: FlaskClient, account: Account, device: Any, make: Ask, download: Download, shape: str
) -> None:
    many = [{"event": f"e{n % 3}", "value": n / 4, "message": 'a,"b"' if n % 2 else ""} for n in range(7)]
    write_logs(account.actor, device["id"], *many)

    content = download(make(format=shape))

    listed = client.get(f"/api/devices/{device['id']}/logs?order=asc").json["items"]
    if shape == "csv":
        shown = [(row["timestamp"], row["event"], float(row["value"]), row["message"]) for row in rows_of(content)]
        assert shown == [(one["timestamp"], one["event"], one["value"], one["message"] or "") for one in listed]
    else:
        found = orjson.loads(content) if shape == "json" else list(map(orjson.loads, content.splitlines()))
        assert found == [one | {"deviceName": "Boiler"} for one in listed]


@pytest.mark.actor("operator")
def test_an_empty_export_is_a_file_too(make: Ask, download: Download) -> None:
    assert rows_of(download(make())) == []
    assert orjson.loads(download(make(format="json"))) == []
    assert download(make(format="ndjson")) == b""


@pytest.mark.actor("operator")
def test_filters_choose_devices_events_levels_and_time(
    account: Account, device: Any, make: Ask, download: Download
) -> None:
    other = make_device(account.actor)
    write_logs(account.actor, device["id"], {"event": "a"}, {"event": "b", "level": "error"}, {"event": "a"})
    write_logs(account.actor, other["id"], {"event": "a", "level": "error"})

    def events(**filters: Any) -> list[tuple[str, str]]:
        return [(row["event"], row["deviceId"]) for row in rows_of(download(make(filters=filters)))]

    assert events(deviceIds=[other["id"]]) == [("a", other["id"])]
    assert events(eventTypes=["b"]) == [("b", device["id"])]
    assert sorted(events(levels=["error"])) == sorted([("b", device["id"]), ("a", other["id"])])
    assert events(levels=["error"], eventTypes=["a"], deviceIds=[device["id"]]) == []
    early = make(dateRange={"startDate": ago(days=1), "endDate": ago(minutes=2, seconds=30)})
    assert [row["event"] for row in rows_of(download(early))] == ["a"]


@pytest.mark.actor("operator")
def test_a_wide_file_has_a_row_for_each_moment_and_a_column_for_each_event(
    account: Account, device: Any, make: Ask, download: Download
) -> None:
    moment = datetime.fromisoformat(ago(hours=1))
    together = [
        {"event": "temp", "value": 21.5},
        {"event": "@door", "message": "=open"},
        {"event": "temp", "value": 22.0},
    ]
    write_logs(account.actor, device["id"], *(one | {"at": moment} for one in together), {"event": "up"})

    first, second, third = rows_of(download(make(layout="wide")))

    assert (first["temp"], first["'@door"], first["up"]) == ("21.5", "'=open", "")
    assert (second["temp"], second["timestamp"]) == ("22.0", first["timestamp"])
    assert (third["up"], third["temp"]) == ("info", "")


@pytest.mark.actor("operator")
def test_more_columns_than_a_file_may_have_are_a_failure_that_says_so(
    client: FlaskClient, account: Account, device: Any, ask: Ask
) -> None:
    write_logs(account.actor, device["id"], *({"event": f"e{number}"} for number in range(201)))
    export = ask(layout="wide")
    run_job(export["jobId"])
    failed = client.get(at(export)).json
    assert (failed["status"], failed["error"]["code"]) == ("failed", "EXPORT_TOO_WIDE")
    assert files() == 0


@pytest.mark.actor("operator")
def test_a_compressed_file_unpacks_to_the_same(
    account: Account, device: Any, make: Ask, client: FlaskClient
) -> None:
    write_logs(account.actor, device["id"], {"message": "hello " * 50})
    plain, packed = make(), make(compress=True)
    answer = client.get(at(packed, "/download"))
    assert answer.content_type == "application/gzip"
    assert "Content-Encoding" not in answer.headers
    assert packed["result"]["fileName"].endswith(".csv.gz")
    assert gzip.decompress(answer.data) == client.get(at(plain, "/download")).data
    assert packed["result"]["sha256"] == hashlib.sha256(answer.data).hexdigest()


@pytest.mark.actor("operator")
def test_a_download_is_an_attachment_that_nobody_keeps_and_that_proves_itself(
    client: FlaskClient, make: Ask
) -> None:
    export = make()
    answer = client.get(at(export, "/download"))
    name, digest = export["result"]["fileName"], export["result"]["sha256"]
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["ETag"] == f'"{digest}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert client.get(at(export, "/download"), headers={"If-None-Match": f'"{digest}"'}).status_code == 304
    head = client.head(at(export, "/download"))
    assert (head.data, head.headers["Content-Length"]) == (b"", str(len(answer.data)))
    assert client.get(at(export)).json["result"]["downloadCount"] == 1


@pytest.mark.actor("operator")
def test_a_download_that_broke_off_goes_on_where_it_did(
    client: FlaskClient, account: Account, device: Any, make: Ask, download: Download, monkeypatch: Any
) -> None:
    monkeypatch.setattr("devicehub.core.files.CHUNK", 100)  # so that a part spans several chunks
    write_logs(account.actor, device["id"], *({"message": f"message {n}"} for n in range(20)))
    export = make()
    whole, path = download(export), at(export, "/download")
    size, tag = len(whole), f'"{export["result"]["sha256"]}"'

    for start, end in ((0, 10), (95, 105), (250, size), (size - 1, size), (100, 200)):
        answer = client.get(path, headers={"Range": f"bytes={start}-{end - 1}", "If-Range": tag})
        assert (answer.status_code, answer.data) == (206, whole[start:end])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.headers["Content-Length"] == str(end - start)
    assert client.get(path, headers={"Range": "bytes=150-"}).data == whole[150:]
    for last in (1, 7, size, size + 1, 10 * size):
        answer = client.get(path, headers={"Range": f"bytes=-{last}"})
        assert (answer.status_code, answer.data) == (206, whole[-last:])
    for ignored in (
        {"Range": "bytes=0-1,5-6"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=5-9", "If-Range": '"other"'},
    ):
        answer = client.get(path, headers=ignored)
        assert (answer.status_code, answer.data) == (200, whole)
    beyond = client.get(path, headers={"Range": f"bytes={size}-"})
    refused(beyond, 416, "RANGE_NOT_SATISFIABLE")
    assert beyond.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.usefixtures("app")
def test_the_document_tells_of_parts_and_of_what_one_has_already() -> None:
    told = openapi.spec().to_dict()["paths"]["/api/export/jobs/{export_id}/download"]["get"]["responses"]
    assert {"200", "206", "304", "416"} <= set(told)
    assert "Content-Range" in told["206"]["headers"]


@pytest.mark.actor("operator")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "gossip"}, "type"),
        ({"format": "xlsx"}, "format"),
        ({"dateRange": None}, "dateRange"),
        ({"type": "device_report"}, "dateRange"),
        ({"dateRange": {"startDate": "2026-01-02T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}}, "dateRange"),
        ({"dateRange": {"startDate": "2024-01-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}}, "dateRange"),
        ({"filters": {"includeInactive": True}}, "filters"),
        ({"filters": {"levels": ["loud"]}}, "filters"),
        ({"filters": {"deviceIds": [{"$gt": ""}]}}, "filters"),
        ({"format": "json", "layout": "wide"}, "layout"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_makes_no_sense_is_refused(client: FlaskClient, changes: dict[str, Any], field: str) -> None:
    answer = client.post(AT, json=wanted(**changes))
    assert answer.status_code == 422
    assert field in answer.json["errors"]


@pytest.mark.actor("operator")
def test_another_tenants_device_is_unknown(client: FlaskClient) -> None:
    foreign = make_device(make_account().actor)["id"]
    for device_id in (foreign, "nonsense", str(ObjectId())):
        answer = client.post(AT, json=wanted(filters={"deviceIds": [device_id]}))
        refused(answer, 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor("operator")
def test_the_same_idempotency_key_makes_one_export(client: FlaskClient) -> None:
    body, headers = wanted(), {"Idempotency-Key": "once"}
    first, second = (client.post(AT, json=body, headers=headers) for _ in range(2))
    assert (first.json["jobId"], second.headers["Idempotent-Replayed"]) == (second.json["jobId"], "true")
    assert client.get(first.headers["Location"]).json["jobId"] == first.json["jobId"]
    assert client.get(AT).json["pagination"]["total"] == 1


@pytest.mark.actor("operator")
def test_the_list_is_filtered_by_status_and_type_newest_first(client: FlaskClient, ask: Ask, make: Ask) -> None:
    done, waiting = make(), ask(format="json")

    def listed(query: str = "") -> list[str]:
        return [one["jobId"] for one in client.get(f"{AT}{query}").json["items"]]

    assert listed() == [waiting["jobId"], done["jobId"]]
    assert listed("?status=completed") == [done["jobId"]]
    assert listed("?type=usage_report") == []
    assert client.get(f"{AT}?status=fine").status_code == 422


@pytest.mark.actor("operator")
def test_one_that_waits_is_called_off_at_once_and_not_twice(client: FlaskClient, ask: Ask) -> None:
    export = ask()
    refused(client.delete(at(export)), 409, "INVALID_STATE")
    assert client.post(at(export, "/cancel")).json["status"] == "cancelled"
    refused(client.post(at(export, "/cancel")), 409, "INVALID_STATE")
    refused(client.get(at(export, "/download")), 409, "EXPORT_NOT_READY")
    assert run_job(export["jobId"]).status == "cancelled"


@pytest.fixture
def when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen when the file of an export is whole, and not published yet."""

    def happens(deed: Callable[[], object]) -> None:
        finish = Writer.finish

        def finish_and_then(writer: Writer) -> Stored:
            stored = finish(writer)
            assert files() > 0
            deed()
            return stored

        monkeypatch.setattr(Writer, "finish", finish_and_then)

    return happens


@pytest.mark.actor("operator")
def test_one_that_is_called_off_when_its_file_is_whole_leaves_nothing(
    client: FlaskClient, ask: Ask, when_it_is_whole: Any
) -> None:
    export = ask()
    when_it_is_whole(lambda: client.post(at(export, "/cancel")))
    assert run_job(export["jobId"]).status == "cancelled"
    assert files() == 0


@pytest.mark.actor("operator")
def test_one_that_is_deleted_when_its_file_is_whole_leaves_nothing(ask: Ask, when_it_is_whole: Any) -> None:
    export = ask()
    when_it_is_whole(lambda: list(expiry.forget(Job.objects(id=export["jobId"]))))
    with pytest.raises(Job.DoesNotExist):
        run_job(export["jobId"])
    assert files() == 0


@pytest.mark.actor("operator")
def test_deleting_one_removes_its_file(client: FlaskClient, make: Ask) -> None:
    export = make()
    assert files() > 0
    assert client.delete(at(export)).status_code == 204
    refused(client.get(at(export)), 404, "EXPORT_NOT_FOUND")
    assert files() == 0


@pytest.mark.actor("operator")
def test_after_seven_days_the_file_is_gone_and_the_export_says_so(
    client: FlaskClient, make: Ask, clock: Callable[[float], None], account: Account
) -> None:
    export = make()
    clock(7 * 86_400)
    headers = log_in(account.email).headers
    refused(client.get(at(export, "/download"), headers=headers), 410, "EXPORT_EXPIRED")
    run_job(jobs.enqueue("exports.expire"))
    assert client.get(at(export), headers=headers).json["status"] == "expired"
    refused(client.get(at(export, "/download"), headers=headers), 410, "EXPORT_EXPIRED")
    assert files() == 0


@pytest.mark.actor("operator")
def test_a_key_needs_the_scope(client: FlaskClient, account: Account, make: Ask) -> None:
    export = make()
    reader = bearing(make_api_key(account.actor, "exports:read"))
    writer = bearing(make_api_key(account.actor, "exports:write"))
    assert client.get(at(export, "/download"), headers=reader).status_code == 200
    refused(client.post(AT, json=wanted(), headers=reader), 403, "INSUFFICIENT_SCOPE")
    assert client.post(AT, json=wanted(), headers=writer).status_code == 202
    refused(client.get(at(export), headers=writer), 403, "INSUFFICIENT_SCOPE")


@pytest.mark.actor("operator")
def test_platform_admins_see_the_job_of_an_export(client_of: ClientOf, make: Ask) -> None:
    export = make()
    admin = client_of(make_account(platform_admin=True))
    job = admin.get(f"/api/admin/jobs/{export['jobId']}").json
    assert (job["name"], job["result"]["expires_at"]) == ("exports.build", export["result"]["expiresAt"])
    assert admin.get("/api/admin/jobs").status_code == 200

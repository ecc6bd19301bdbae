"""Reports as files: of every format, with the figures of the report that is shown."""

import gzip
import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import openpyxl
import orjson
import pypdf
import pytest
from flask.testing import FlaskClient

from devicehub.notifications.models import Box
from devicehub.reports import due
from tests.exports.conftest import AT, Ask, Download, rows_of, write_logs
from tests.factories import Account, log_in, make_device, make_schedule
from tests.jobs.inline import run_due_jobs

USAGE = {"type": "usage_report"}


@pytest.fixture
def used(account: Account, device: Any) -> Any:
    pump = make_device(account.actor, name="=Pump")
    write_logs(account.actor, device["id"], *({"event": "units_consumed", "value": 1.5} for _ in range(4)))
    write_logs(account.actor, pump["id"], {"event": "units_consumed", "value": 10.0}, {"event": "on"})
    return pump


@pytest.mark.actor("operator")
def test_a_usage_report_says_what_analytics_say_in_every_format(
    client: FlaskClient, used: Any, make: Ask, download: Download
) -> None:
    total = client.get("/api/analytics/dashboard?range=7d").json["summary"]["totalUsage"]
    assert total == 16.0

    whole = orjson.loads(download(make(**USAGE, format="json")))
    assert {chart["type"] for chart in whole["charts"]} >= {"line", "bar"}
    main = whole["tables"][-1]["rows"]
    by_csv = rows_of(download(make(**USAGE, format="csv")))
    by_line = [orjson.loads(line) for line in download(make(**USAGE, format="ndjson")).splitlines()]
    assert len(by_csv) == len(by_line) == 2
    assert sum(row["usage"] for row in by_line) == total
    assert any("'=Pump" in row.values() for row in by_csv)
    assert main


@pytest.mark.actor("operator")
def test_a_spreadsheet_opens_with_charts_and_without_formulas(used: Any, make: Ask, download: Download) -> None:
    book = openpyxl.load_workbook(io.BytesIO(download(make(**USAGE, format="xlsx"))))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert any(cell.value == "=Pump" and cell.data_type == "s" for cell in cells)
    assert not any(cell.data_type == "f" for cell in cells)
    assert sum(len(sheet._charts) for sheet in book) > 0


@pytest.mark.actor("operator")
@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "xlsx", "pdf"])
def test_a_report_of_every_format_may_be_compressed(used: Any, make: Ask, download: Download, form: str) -> None:
    unpacked = gzip.decompress(download(make(**USAGE, format=form, compress=True)))
    if form == "xlsx":
        assert openpyxl.load_workbook(io.BytesIO(unpacked)).sheetnames
    elif form == "pdf":
        assert pypdf.PdfReader(io.BytesIO(unpacked)).pages
    else:
        assert b"Boiler" in unpacked


@pytest.mark.actor("operator")
@pytest.mark.parametrize("kind", ["usage_report", "device_report"])
def test_a_pdf_opens_and_names_the_devices(used: Any, make: Ask, download: Download, kind: str) -> None:
    wanted = USAGE if kind == "usage_report" else {"type": kind, "dateRange": None}
    export = make(**wanted, format="pdf")
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(download(export))).pages)
    assert "Boiler" in text
    assert "=Pump" in text
    assert export["result"]["recordCount"] == 2


@pytest.mark.actor("operator")
def test_a_device_report_leaves_out_inactive_devices_if_it_is_to(
    client: FlaskClient, used: Any, make: Ask, download: Download
) -> None:
    client.patch(f"/api/devices/{used['id']}", json={"status": "inactive"})

    def names(**filters: Any) -> set[str]:
        made = make(type="device_report", format="csv", dateRange=None, filters=filters)
        return {row["deviceName"] for row in rows_of(download(made))}

    assert names() == names(includeInactive=True) == {"Boiler", "'=Pump"}
    assert names(includeInactive=False) == {"Boiler"}
    assert names(deviceIds=[used["id"]]) == {"'=Pump"}


@pytest.mark.actor("operator")
def test_what_a_schedule_asks_for_is_made_in_time_and_told_as_a_report(
    client: FlaskClient, account: Account, used: Any, clock: Callable[[float], None]
) -> None:
    schedule = make_schedule(account.actor, name="Usage every day")
    clock(25 * 3600)
    due.sweep()
    for name in ("exports.scheduled", "exports.build", "exports.tell"):
        [job] = run_due_jobs(name)
        assert job.status == "completed", job.error

    headers = log_in(account.email).headers
    [export] = client.get(AT, headers=headers).json["items"]
    assert (export["scheduleId"], export["status"]) == (schedule, "completed")
    span = [datetime.fromisoformat(export["dateRange"][name]) for name in ("startDate", "endDate")]
    assert (span[1] - span[0]).total_seconds() == 86_400
    [item] = Box.objects.get(id=account.actor.user_id).items
    assert (item["type"], item["title"]) == ("report", "Usage every day is ready")
    shown = client.get(f"/api/reports/schedules/{schedule}", headers=headers).json
    assert shown["lastExportId"] == export["jobId"]

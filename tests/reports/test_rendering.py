"""Each format holds what the report does, takes nothing typed for a formula, and can be stopped."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from pypdf import PdfReader

from devicehub.reports.models import FORMATS as NAMES
from devicehub.reports.rendering import FORMATS, pdf, xlsx
from devicehub.reports.report import Chart, Column, Report, Row, Series, Table
from tests.conftest import ROOT

AT = datetime(2027, 1, 31, 23, 30, tzinfo=UTC)
NASTY = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "http://example.com", 'a,"b"\r\nc', "Łódź Датчик"]
COLUMNS = (
    Column("deviceName", "Device"),
    Column("usage", "Usage", "number"),
    Column("lastActiveAt", "Last active", "time"),
    Column("ownerId", "Owner id", printed=False),
)


def rows_of(number: int) -> Callable[[], Iterator[Row]]:
    def rows() -> Iterator[Row]:
        for at in range(number):
            yield NASTY[at % len(NASTY)], -at / 2, AT if at % 2 else None, f"owner {at}"

    return rows


def report_of(rows: int, points: int = 3, **changes: Any) -> Report:
    """A report with so many rows, and charts of so many points."""
    labels = [f"2027-01-{number + 1:02}" for number in range(points)]
    numbers = [number * 10.5 for number in range(1, points + 1)]
    charts = [
        Chart(
            "line", "line", "Usage by day", labels, [Series("Usage", numbers), Series("Before", [None] * points)]
        ),
        Chart("bar", "bar", "Logs by event", labels, [Series("Logs", numbers)]),
        Chart("pie", "pie", "Presence", labels, [Series("Devices", numbers)]),
    ]
    summary = Table("summary", "Summary", COLUMNS[:2], lambda: iter([("Usage", 12.5)]), 1)
    main = Table("devices", "Devices", COLUMNS, rows_of(rows), rows)
    told = {"from": "2026-12-31T23:00:00.000Z", "to": "2027-01-31T23:00:00.000Z"}
    made = Report("Usage report", AT, "Europe/Berlin", told, charts, [summary, main])
    return replace(made, **changes)


def written(name: str, report: Report) -> bytes:
    out = io.BytesIO()
    FORMATS[name].write(report, out, lambda _: None)
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [0, 1, 499, 500, 1203])
def test_it_says_how_far_it_is_and_how_much_it_wrote(name: str, rows: int) -> None:
    told: list[int] = []
    assert FORMATS[name].write(report_of(rows), io.BytesIO(), told.append) == rows
    assert told[-1] == rows and told == sorted(told)
    assert all(later - sooner <= 1000 for sooner, later in zip([0, *told], told, strict=False))


@pytest.mark.parametrize("name", NAMES)
def test_it_stops_when_it_is_told_to(name: str) -> None:
    class Enough(Exception):
        pass

    def stop(_: int) -> None:
        raise Enough()

    made = 0

    def endless() -> Iterator[Row]:
        nonlocal made
        while True:
            made += 1
            yield "Boiler", 1.0, AT, "owner"

    report = report_of(0)
    tables = [*report.tables[:-1], replace(report.main, rows=endless, count=None)]
    with pytest.raises(Enough):
        FORMATS[name].write(replace(report, tables=tables), io.BytesIO(), stop)
    assert made <= 1001


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("points", [0, 1, 2, 30, 90])
def test_charts_of_any_length_can_be_written(name: str, points: int) -> None:
    assert len(written(name, report_of(2, points))) > 50


def test_a_process_that_only_answers_requests_does_not_carry_what_draws() -> None:
    program = """
import sys
from devicehub import app
from devicehub.features import doors
[*doors("routes")]
print(sorted({"reportlab", "xlsxwriter"} & {*sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_json_is_the_whole_report_to_be_drawn() -> None:
    told = json.loads(written("json", report_of(600)))
    assert [*told] == ["title", "generatedAt", "range", "charts", "tables"]
    assert told["generatedAt"] == "2027-01-31T23:30:00.000Z"
    assert told["charts"][0] == {
        "id": "line",
        "type": "line",
        "title": "Usage by day",
        "labels": ["2027-01-01", "2027-01-02", "2027-01-03"],
        "series": [
            {"name": "Usage", "data": [10.5, 21.0, 31.5]},
            {"name": "Before", "data": [None, None, None]},
        ],
    }
    summary, devices = told["tables"]
    assert summary["rows"] == [{"deviceName": "Usage", "usage": 12.5}]
    assert devices["columns"][2] == {"name": "lastActiveAt", "label": "Last active", "type": "time"}
    assert len(devices["rows"]) == devices["count"] == 600
    assert devices["rows"][1] == {
        "deviceName": "+1",
        "usage": -0.5,
        "lastActiveAt": "2027-01-31T23:30:00.000Z",
        "ownerId": "owner 1",
    }


def test_ndjson_is_the_main_table_a_line_each() -> None:
    lines = written("ndjson", report_of(600)).splitlines()
    assert [json.loads(line)["ownerId"] for line in lines] == [f"owner {at}" for at in range(600)]


def test_csv_is_the_main_table_and_nothing_before_it() -> None:
    text = written("csv", report_of(9)).decode()
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["deviceName", "usage", "lastActiveAt", "ownerId"]
    assert [row[0] for row in rows] == [f"'{one}" if one[0] in "=+-@\t\r" else one for one in NASTY]
    assert rows[1][1:] == ["-0.5", "2027-01-31T23:30:00.000Z", "owner 1"]
    assert rows[0][2] == ""


@pytest.fixture
def book() -> Any:
    return openpyxl.load_workbook(io.BytesIO(written("xlsx", report_of(9))))


def test_a_workbook_has_charts_a_sheet_for_each_table_and_their_numbers(book: Any) -> None:
    assert book.sheetnames == ["Overview", "Summary", "Devices", "Chart data"]
    assert [type(chart).__name__ for chart in book["Overview"]._charts] == ["LineChart", "BarChart", "PieChart"]
    assert book["Devices"].freeze_panes == "A2"
    assert [cell.value for cell in book["Chart data"][2]][:2] == ["2027-01-01", 10.5]
    assert [cell.value for cell in book["Devices"][1]] == [
        "Device",
        "Usage",
        "Last active (Europe/Berlin)",
        "Owner id",
    ]


def test_its_text_is_no_formula_and_no_link_and_its_times_are_times_of_the_zone(book: Any) -> None:
    sheet = book["Devices"]
    for row, text in enumerate(NASTY, 2):
        cell = sheet.cell(row, 1)
        assert (cell.data_type, cell.hyperlink) == ("s", None) or cell.data_type == "inlineStr"
        assert cell.value.replace("_x000D_", "\r") == text.replace("\r\n", "\r\n")
    assert sheet["C3"].value == datetime(2027, 2, 1, 0, 30)
    assert sheet["C3"].is_date and sheet["B3"].value == -0.5


def test_what_a_sheet_has_no_room_for_goes_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 4)
    book = openpyxl.load_workbook(io.BytesIO(written("xlsx", report_of(9))))
    assert book.sheetnames == ["Overview", "Summary", "Devices", "Devices 2", "Devices 3", "Chart data"]
    owners = [row[3].value for name in book.sheetnames[2:5] for row in book[name].iter_rows(min_row=2)]
    assert owners == [f"owner {at}" for at in range(9)]


def pages_of(report: Report) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(written("pdf", report))).pages]


def test_a_pdf_says_what_it_is_of_in_the_times_of_the_zone() -> None:
    [first, *_] = pages = pages_of(report_of(9))
    assert "Usage report" in first and "Page 1" in first
    assert "From 2027-01-01 00:00 until 2027-02-01 00:00." in first
    assert "Made on 2027-02-01 00:30. Times are those of Europe/Berlin." in first
    whole = "\n".join(pages)
    assert "Łódź Датчик" in whole and "2027-02-01 00:30" in whole
    assert "owner 1" not in whole  # there is no room for it
    assert "left out" not in whole


@pytest.mark.parametrize("is_counted", [True, False])
def test_a_pdf_leaves_out_what_nobody_would_leaf_through_and_says_so(
    monkeypatch: pytest.MonkeyPatch, is_counted: bool
) -> None:
    monkeypatch.setattr(pdf, "MOST_ROWS", 200)
    report = report_of(523)
    tables = [*report.tables[:-1], replace(report.main, count=523 if is_counted else None)]
    pages = pages_of(replace(report, tables=tables))
    assert "323 more rows are left out here" in pages[-1]
    assert all("Last active" in page for page in pages[1:-1])  # the header comes again


def test_letters_that_a_pdf_cannot_draw_are_replaced_and_not_dropped() -> None:
    report = report_of(0)
    tables = [replace(report.main, rows=lambda: iter([("温度", 1.0, None, "")]), count=1)]
    assert "\N{REPLACEMENT CHARACTER}" * 2 in "".join(pages_of(replace(report, tables=tables)))


def test_markup_in_a_name_is_drawn_as_it_was_typed() -> None:
    report = report_of(0)
    tables = [replace(report.main, rows=lambda: iter([("<b>&amp;</b>", 1.0, None, "")]), count=1)]
    assert "<b>&amp;</b>" in "".join(pages_of(replace(report, tables=tables)))


@pytest.mark.parametrize("title", ["<b>a & b", "Λειτουργία 温度", "x" * 300])
def test_a_title_that_somebody_chose_is_drawn_as_it_was_typed(title: str) -> None:
    [first, *_] = pages_of(report_of(1, title=title))
    assert title.replace("温度", "\N{REPLACEMENT CHARACTER}" * 2)[:80] in first.replace("\n", "")


def test_a_report_as_of_now_has_no_range() -> None:
    report = report_of(1, range=None, generated_at=AT + timedelta(hours=1))
    assert json.loads(written("json", report))["range"] is None
    assert "until" not in pages_of(report)[0]

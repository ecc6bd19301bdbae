"""A report as an Excel workbook: an overview with charts, a sheet for each table, and the charts' numbers.

Rows go to disk as they come (`constant_memory`). What is text stays text, whatever it begins with.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import BinaryIO
from zoneinfo import ZoneInfo

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from devicehub.reports.rendering import palette, xlsx_charts
from devicehub.reports.rendering.pace import paced
from devicehub.reports.rendering.words import sentences
from devicehub.reports.report import Column, Report, Row, Table

OPTIONS = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
MOST_ROWS = 1_000_000  # of a sheet; Excel has room for 1 048 576
A4 = 9  # as Excel numbers paper
WIDTHS = {"text": 24, "number": 14, "time": 20}


def write(report: Report, out: BinaryIO, progress: Callable[[int], None]) -> int:
    """Write the whole report; returns how many rows its main table has."""
    with TemporaryDirectory() as folder:
        workbook = xlsxwriter.Workbook(out, OPTIONS | {"tmpdir": folder})
        try:
            written = _fill(workbook, report, progress)
            workbook.close()
        finally:  # it leaves its files open for whoever stops in between, and closing it would write them out
            for sheet in workbook.worksheets():
                sheet._opt_close()
    return written


def _fill(workbook: xlsxwriter.Workbook, report: Report, progress: Callable[[int], None]) -> int:
    writer = Writer(workbook, ZoneInfo(report.timezone))
    overview = workbook.add_worksheet("Overview")
    _fit_on_paper(overview)
    written = 0
    for table in report.tables:
        rows = paced(table.rows(), progress) if table is report.main else table.rows()
        written = writer.table(table, rows)
    writer.overview(overview, report)
    xlsx_charts.insert(workbook, overview, report.charts)
    return written


class Writer:
    """Writes cells into the sheets of a workbook, times as those of a zone."""

    def __init__(self, workbook: xlsxwriter.Workbook, zone: ZoneInfo) -> None:
        self._workbook, self._zone = workbook, zone
        self._head: Format = workbook.add_format(
            {"bold": True, "font_color": palette.BRAND, "bottom": 1, "bottom_color": palette.LINE}
        )
        self._title: Format = workbook.add_format({"bold": True, "font_size": 18, "font_color": palette.INK})
        self._faint: Format = workbook.add_format({"font_color": palette.FAINT})
        self._time: Format = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm", "align": "left"})

    def table(self, table: Table, rows: Iterable[Row]) -> int:
        """Write a table into a sheet, or more where one has no room; returns how many rows there were."""
        written, sheet = 0, self._sheet(table, table.title)
        for row in rows:
            if written and written % MOST_ROWS == 0:
                sheet = self._sheet(table, f"{table.title} {written // MOST_ROWS + 1}")
            self._row(sheet, written % MOST_ROWS + 1, table.columns, row)
            written += 1
        return written

    def _sheet(self, table: Table, name: str) -> Worksheet:
        sheet: Worksheet = self._workbook.add_worksheet(name)
        _fit_on_paper(sheet)
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        for place, column in enumerate(table.columns):
            sheet.set_column(place, place, max(WIDTHS[column.type], len(column.label) + 2))
            label = f"{column.label} ({self._zone.key})" if column.type == "time" else column.label
            sheet.write_string(0, place, label, self._head)
        return sheet

    def _row(self, sheet: Worksheet, number: int, columns: Iterable[Column], row: Row) -> None:
        for place, cell in enumerate(row):
            if isinstance(cell, datetime):
                sheet.write_datetime(number, place, cell.astimezone(self._zone).replace(tzinfo=None), self._time)
            elif isinstance(cell, str):
                sheet.write_string(number, place, cell)
            elif cell is not None:
                sheet.write_number(number, place, cell)

    def overview(self, sheet: Worksheet, report: Report) -> None:
        """The words at the head of the first sheet."""
        sheet.hide_gridlines(2)
        sheet.write_string(0, 0, report.title, self._title)
        for number, sentence in enumerate(sentences(report), 1):
            sheet.write_string(number, 0, sentence, self._faint)


def _fit_on_paper(sheet: Worksheet) -> None:
    """Who prints it gets its whole width on each page."""
    sheet.set_paper(A4)
    sheet.fit_to_pages(1, 0)

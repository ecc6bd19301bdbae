"""The charts of a report as Excel draws them, one below the other, from numbers on a sheet of their own."""

from collections.abc import Sequence
from typing import Any

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from devicehub.reports.rendering import palette
from devicehub.reports.report import Chart

SHEET = "Chart data"
MOST_BARS = 20
FIRST_ROW, ROWS_EACH = 4, 17
SIZE = {"width": 860, "height": 320}
_KINDS = {"line": {"type": "line"}, "bar": {"type": "bar"}, "pie": {"type": "pie"}}


def insert(workbook: xlsxwriter.Workbook, sheet: Worksheet, charts: Sequence[Chart]) -> None:
    """Draw all charts that have anything to show."""
    there = [chart for chart in charts if chart.labels]
    places = _write_numbers(workbook, there)
    for number, (chart, place) in enumerate(zip(there, places, strict=True)):
        drawn = workbook.add_chart(_KINDS[chart.type])
        for offset in range(len(chart.series)):
            drawn.add_series(_series(chart, place, offset))
        _dress(drawn, chart)
        sheet.insert_chart(FIRST_ROW + number * ROWS_EACH, 0, drawn)


def _write_numbers(workbook: xlsxwriter.Workbook, charts: Sequence[Chart]) -> list[int]:
    """Write labels and series side by side, a row at a time; gives the column in which each chart begins."""
    sheet = workbook.add_worksheet(SHEET)
    sheet.freeze_panes(1, 0)
    columns: list[tuple[str, Sequence[str | float | None]]] = []
    places = []
    for chart in charts:
        places.append(len(columns))
        columns += [(chart.title, chart.labels), *((one.name, one.data) for one in chart.series)]
    for number in range(max((len(cells) for _, cells in columns), default=-1) + 1):
        for place, (name, cells) in enumerate(columns):
            cell = name if number == 0 else cells[number - 1] if number <= len(cells) else None
            if isinstance(cell, str):
                sheet.write_string(number, place, cell)
            elif cell is not None:
                sheet.write_number(number, place, cell)
    return places


def _series(chart: Chart, place: int, offset: int) -> dict[str, Any]:
    last = min(len(chart.labels), MOST_BARS) if chart.type == "bar" else len(chart.labels)
    column = place + 1 + offset
    told: dict[str, Any] = {
        "name": [SHEET, 0, column],
        "categories": [SHEET, 1, place, last, place],
        "values": [SHEET, 1, column, last, column],
    }
    colour = palette.PALE if offset else palette.BRAND
    if chart.type == "pie":
        told["points"] = [{"fill": {"color": one}} for one in palette.of_slices(chart.labels)]
        told["data_labels"] = {"percentage": True, "leader_lines": True}
    elif chart.type == "line":
        told["line"] = {"color": colour, "width": 1.25 if offset else 2.25}
        if len(chart.labels) == 1:  # of which there is no line
            told["marker"] = {"type": "circle", "size": 7, "fill": {"color": colour}, "border": {"none": True}}
    else:
        told |= {"fill": {"color": colour}, "gap": 60}
    return told


def _dress(drawn: Any, chart: Chart) -> None:
    drawn.set_title({"name": chart.title, "name_font": {"size": 13, "color": palette.INK}})
    drawn.set_size(SIZE)
    drawn.set_legend({"none": True} if chart.type != "pie" and len(chart.series) == 1 else {"position": "right"})
    grid = {"visible": True, "line": {"color": palette.LINE}}
    if chart.type == "line":
        drawn.set_y_axis({"major_gridlines": grid, "line": {"none": True}})
    elif chart.type == "bar":
        drawn.set_x_axis({"major_gridlines": grid, "line": {"none": True}})
        drawn.set_y_axis({"reverse": True, "major_gridlines": {"visible": False}})

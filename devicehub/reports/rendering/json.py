"""A report as JSON that a web page can draw at once; its rows are objects, and stream."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO

import orjson

from devicehub.core import clock
from devicehub.reports.batches import batches
from devicehub.reports.rendering.pace import STEP, paced
from devicehub.reports.report import Cell, Chart, Report, Row, Table

Json = dict[str, Any]


def write(report: Report, out: BinaryIO, progress: Callable[[int], None]) -> int:
    """Write the whole report; returns how many rows its main table has."""
    out.write(orjson.dumps(_head(report))[:-1] + b',"tables":[')
    written = 0
    for place, table in enumerate(report.tables):
        rows = paced(table.rows(), progress) if table is report.main else table.rows()
        written = _write_table(table, rows, out, is_first=place == 0)
    out.write(b"]}")
    return written


def _write_table(table: Table, rows: Iterator[Row], out: BinaryIO, *, is_first: bool) -> int:
    out.write((b"" if is_first else b",") + orjson.dumps(_table(table))[:-1] + b',"rows":[')
    written = 0
    for some in batches(rows, STEP):
        objects = b",".join(orjson.dumps(shown(table, row)) for row in some)
        out.write((b"," if written else b"") + objects)
        written += len(some)
    out.write(b"]}")
    return written


def whole(report: Report) -> Json:
    """The same as one object, for a report that is short."""
    tables = [{**_table(table), "rows": [shown(table, row) for row in table.rows()]} for table in report.tables]
    return {**_head(report), "tables": tables}


def shown(table: Table, row: Row) -> Json:
    """A row as an object, by the names of its columns."""
    return {column.name: _value(cell) for column, cell in zip(table.columns, row, strict=True)}


def _value(cell: Cell) -> Any:
    return clock.rfc3339(cell) if isinstance(cell, datetime) else cell


def _head(report: Report) -> Json:
    return {
        "title": report.title,
        "generatedAt": clock.rfc3339(report.generated_at),
        "range": report.range and dict(report.range),
        "charts": [_chart(chart) for chart in report.charts],
    }


def _chart(chart: Chart) -> Json:
    return {
        "id": chart.id,
        "type": chart.type,
        "title": chart.title,
        "labels": list(chart.labels),
        "series": [{"name": one.name, "data": list(one.data)} for one in chart.series],
    }


def _table(table: Table) -> Json:
    columns = [{"name": one.name, "label": one.label, "type": one.type} for one in table.columns]
    return {"id": table.id, "title": table.title, "columns": columns, "count": table.count}

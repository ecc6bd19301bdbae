"""A report as it is before anybody writes it down: charts that can be drawn at once, and tables that flow.

It knows neither a database nor a format. A table's rows are made each time they are asked for, one after the
other, so that a table of a large fleet is never in memory as a whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal

ChartType = Literal["line", "bar", "pie"]
CellType = Literal["text", "number", "time"]
Cell = str | float | datetime | None
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers, one for each label of a chart; None where nothing is known."""

    name: str
    data: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of at most a hundred labels; a pie has one series."""

    id: str
    type: ChartType
    title: str
    labels: Sequence[str]
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its `name` for machines, its `label` for people; on paper only if it is `printed`."""

    name: str
    label: str
    type: CellType = "text"
    printed: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; `count` says how many if that is known before they are counted out."""

    id: str
    title: str
    columns: Sequence[Column]
    rows: Callable[[], Iterator[Row]]
    count: int | None = None

    def first(self, most: int) -> "Table":
        """The same table, cut after so many rows."""
        return Table(self.id, self.title, self.columns, lambda: islice(self.rows(), most), self.count)


@dataclass(frozen=True, slots=True)
class Report:
    """`timezone` is the one that its days are counted in; `range` is None for what is as of now."""

    title: str
    generated_at: datetime
    timezone: str
    range: Mapping[str, str] | None
    charts: Sequence[Chart]
    tables: Sequence[Table]

    @property
    def main(self) -> Table:
        """The table that the report is about, and all of it in formats that hold one table only: the last."""
        return self.tables[-1]

    def cut(self, most: int) -> "Report":
        """The same report with at most so many rows in each table."""
        tables = [table.first(most) for table in self.tables]
        return Report(self.title, self.generated_at, self.timezone, self.range, self.charts, tables)

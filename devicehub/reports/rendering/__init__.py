"""How a report is written down: one module a format, which is imported when it is first written.

What draws is large, and the processes that answer requests never draw.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import BinaryIO

from devicehub.reports.models import FORMATS as NAMES
from devicehub.reports.report import Report

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Format:
    """A way of writing a report down."""

    extension: str
    media_type: str

    def write(self, report: Report, out: BinaryIO, progress: Progress) -> int:
        """Write a report; returns how many rows of its main table that were.

        `progress` is told how many there are so far, at least every 1000 rows, and may raise to stop.
        """
        written: int = import_module(f"{__name__}.{self.extension}").write(report, out, progress)
        return written


_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
FORMATS: Mapping[str, Format] = {name: Format(name, _MEDIA_TYPES[name]) for name in NAMES}

"""The main table of a report as CSV (RFC 4180), under the names of its columns."""

from collections.abc import Callable
from typing import BinaryIO

from devicehub.core import cells
from devicehub.reports.batches import batches
from devicehub.reports.rendering.pace import STEP, paced
from devicehub.reports.report import Report


def write(report: Report, out: BinaryIO, progress: Callable[[int], None]) -> int:
    """Write the table; returns how many rows it has."""
    out.write(cells.row([column.name for column in report.main.columns]).encode())
    written = 0
    for some in batches(paced(report.main.rows(), progress), STEP):
        out.writelines(cells.row(row).encode() for row in some)
        written += len(some)
    return written

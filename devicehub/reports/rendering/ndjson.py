"""The main table of a report as JSON, a line each row."""

from collections.abc import Callable
from typing import BinaryIO

import orjson

from devicehub.reports.batches import batches
from devicehub.reports.rendering import json
from devicehub.reports.rendering.pace import STEP, paced
from devicehub.reports.report import Report


def write(report: Report, out: BinaryIO, progress: Callable[[int], None]) -> int:
    """Write the table; returns how many rows it has."""
    written = 0
    for some in batches(paced(report.main.rows(), progress), STEP):
        out.writelines(
            orjson.dumps(json.shown(report.main, row), option=orjson.OPT_APPEND_NEWLINE) for row in some
        )
        written += len(some)
    return written

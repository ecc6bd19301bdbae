"""Cells of a CSV file (RFC 4180), such that no spreadsheet takes what somebody typed for a formula."""

import csv
from collections.abc import Sequence
from datetime import datetime

from devicehub.core import clock

Value = str | float | datetime | None

# What a spreadsheet may compute instead of showing it (OWASP, "CSV Injection").
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """Where the `csv` module writes a row to: it comes straight back."""

    def write(self, text: str) -> str:
        return text


def neutral(text: str) -> str:
    """`text` as a cell that is only ever shown: with an apostrophe before what may begin a formula."""
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def row(values: Sequence[Value]) -> str:
    """One line of a CSV file, with its end. Text is neutralized, numbers stay numbers, times are RFC 3339."""
    line: str = csv.writer(_Line(), lineterminator="\r\n").writerow([_cell(value) for value in values])
    return line


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return neutral(value)
    if isinstance(value, datetime):
        return clock.rfc3339(value)
    return str(value).lower()  # `true` and `false`, as in JSON; of a number only the exponent has a letter

"""A table of a report on paper: those of its columns that there is room for, each as wide as it needs to be."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from reportlab.lib.colors import HexColor
from reportlab.platypus import LongTable

from devicehub.reports.rendering import drawing, fonts, palette
from devicehub.reports.report import Cell, Column, Row

SIZE = 8
_GAPS = 8  # points beside the text of a cell
_STYLE: Sequence[tuple[Any, ...]] = [
    ("FONT", (0, 0), (-1, 0), fonts.STRONG, SIZE),
    ("FONT", (0, 1), (-1, -1), fonts.TEXT, SIZE),
    ("TEXTCOLOR", (0, 0), (-1, 0), HexColor(palette.BRAND)),
    ("TEXTCOLOR", (0, 1), (-1, -1), HexColor(palette.INK)),
    ("LINEBELOW", (0, 0), (-1, 0), 0.8, HexColor(palette.BRAND)),
    ("LINEBELOW", (0, 1), (-1, -1), 0.4, HexColor(palette.LINE)),
    ("LEFTPADDING", (0, 0), (-1, -1), _GAPS / 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), _GAPS / 2),
    ("TOPPADDING", (0, 0), (-1, -1), 3),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
]


def draw(columns: Sequence[Column], rows: Sequence[Row], width: float, zone: ZoneInfo) -> LongTable:
    """The rows under their columns, which come again on every page."""
    places = [place for place, column in enumerate(columns) if column.printed]
    printed = [columns[place] for place in places]
    texts = [[fonts.legible(_told(row[place], zone)) for place in places] for row in rows]
    widths = _widths(printed, texts, width)
    body = [
        [fonts.fitted(text, room - _GAPS, SIZE) for text, room in zip(row, widths, strict=True)] for row in texts
    ]
    right = [("ALIGN", (at, 0), (at, -1), "RIGHT") for at, one in enumerate(printed) if one.type == "number"]
    head = [column.label for column in printed]
    return LongTable([head, *body], widths, repeatRows=1, style=[*_STYLE, *right])


def _widths(columns: Sequence[Column], texts: Sequence[Sequence[str]], width: float) -> list[float]:
    """What each column needs, or more where there is more; where there is too little, text has to give way."""
    widths = [
        _GAPS
        + max(fonts.width_of(column.label, SIZE, fonts.STRONG), *(fonts.width_of(one, SIZE) for one in cells))
        for column, cells in zip(columns, zip(*texts, strict=True), strict=True)
    ]
    if sum(widths) <= width:
        return [one * width / sum(widths) for one in widths]
    giving = sorted((at for at, one in enumerate(columns) if one.type == "text"), key=lambda at: widths[at])
    left = width - sum(one for at, one in enumerate(widths) if at not in giving)
    for number, at in enumerate(giving):  # the narrow ones keep what they need
        widths[at] = min(widths[at], left / (len(giving) - number))
        left -= widths[at]
    return widths


def _told(cell: Cell, zone: ZoneInfo) -> str:
    if cell is None:
        return "\N{EN DASH}"
    if isinstance(cell, datetime):
        return f"{cell.astimezone(zone):%Y-%m-%d %H:%M}"
    return cell if isinstance(cell, str) else drawing.told(cell)

"""A report as a PDF on A4: what it is of, its charts, and its tables as far as anybody would leaf through them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer

from devicehub.reports.rendering import drawing, fonts, grid, palette
from devicehub.reports.rendering.pace import paced
from devicehub.reports.rendering.words import sentences
from devicehub.reports.report import Report, Row, Table

MOST_ROWS = 2000
MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
SIZE = 8
_PADDING = 6  # of platypus's own, within the margins
_TITLE = ParagraphStyle("title", fontName=fonts.STRONG, fontSize=20, leading=25, textColor=HexColor(palette.INK))
_TITLE_OF_ANY = ParagraphStyle("title of any letters", parent=_TITLE, fontName=fonts.TEXT)
_HEADING = ParagraphStyle("heading", parent=_TITLE, fontSize=11, leading=16, spaceBefore=14, spaceAfter=4)
_FAINT = ParagraphStyle("faint", fontName=fonts.TEXT, fontSize=9, leading=13, textColor=HexColor(palette.FAINT))


def write(report: Report, out: BinaryIO, progress: Callable[[int], None]) -> int:
    """Write the report; returns how many rows of its main table are in it, which are 2000 at most."""
    fonts.register()
    story: list[Flowable] = [_title(report.title)]
    story += [Paragraph(sentence, _FAINT) for sentence in sentences(report)]
    first, *others = report.tables
    if first is not report.main:
        story += _shown(first, list(first.rows()), report.timezone)
    for chart in report.charts:
        story += [Spacer(0, 16), KeepTogether(drawing.draw(chart, WIDTH))]
    for table in others if first is not report.main else report.tables:
        rows = paced(table.rows(), progress) if table is report.main else table.rows()
        kept = list(islice(rows, MOST_ROWS))
        story += _shown(table, kept, report.timezone)
        if left := _left(table, kept, rows):
            story.append(Paragraph(_left_out(left), _FAINT))
    _document(report, out).build(story, onFirstPage=_foot(report), onLaterPages=_foot(report))
    return len(kept)


def _title(text: str) -> Paragraph:
    """Somebody may have chosen it: it is no markup, and Helvetica does not have every letter."""
    style = _TITLE if text.isascii() else _TITLE_OF_ANY
    return Paragraph(escape(fonts.legible(text)), style)


def _left(table: Table, kept: Sequence[Row], rest: Iterator[Row]) -> int:
    """How many rows there is no room for."""
    if table.count is not None:
        return max(table.count - len(kept), 0) if len(kept) == MOST_ROWS else 0
    return sum(1 for _ in rest)


def _left_out(number: int) -> str:
    return f"{number} more rows are left out here; the same report as CSV or XLSX has all of them."


def _shown(table: Table, rows: Sequence[Row], timezone: str) -> list[Flowable]:
    """A table under its heading."""
    heading = Paragraph(table.title, _HEADING)
    if not rows:
        return [heading, Paragraph("There are none.", _FAINT)]
    return [heading, grid.draw(table.columns, rows, WIDTH, ZoneInfo(timezone)), Spacer(0, 6)]


def _document(report: Report, out: BinaryIO) -> SimpleDocTemplate:
    margins = {f"{side}Margin": MARGIN - _PADDING for side in ("left", "right", "top", "bottom")}
    return SimpleDocTemplate(
        out, pagesize=A4, title=report.title, author="DeviceHub", creator="DeviceHub", **margins
    )


def _foot(report: Report) -> Callable[[Any, Any], None]:
    """What stands at the foot of every page."""

    def write_foot(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont(fonts.TEXT, SIZE)
        canvas.setFillColor(HexColor(palette.FAINT))
        canvas.drawString(
            MARGIN, MARGIN / 2, fonts.fitted(f"DeviceHub \N{MIDDLE DOT} {report.title}", WIDTH * 0.8, SIZE)
        )
        canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, f"Page {document.page}")
        canvas.restoreState()

    return write_foot

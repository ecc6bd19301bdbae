"""The charts of a report as vectors, of one width: what has no numbers is a sentence that says so."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reportlab.graphics.charts.barcharts import HorizontalBarChart
from reportlab.graphics.charts.lineplots import LinePlot
from reportlab.graphics.charts.piecharts import Pie
from reportlab.graphics.shapes import Circle, Drawing, Rect, String
from reportlab.graphics.widgets.markers import makeMarker
from reportlab.lib.colors import HexColor

from devicehub.reports.rendering import palette
from devicehub.reports.rendering.fonts import STRONG, TEXT, fitted, width_of
from devicehub.reports.report import Chart, Series

TITLE, SMALL = 11, 7.5
HEAD = 24  # points for the title
MOST_BARS, MOST_SLICES, MOST_DATES = 12, 7, 8
BAR, PLOT = 17, 150
NAMES = 150  # points for the names of bars


def draw(chart: Chart, width: float) -> Drawing:
    """A chart with its title."""
    if not any(number for series in chart.series for number in series.data):
        return _empty(chart, width)
    return _DRAW[chart.type](chart, width)


def _sheet(chart: Chart, width: float, height: float, note: str = "") -> Drawing:
    sheet = Drawing(width, height + HEAD)
    ink = HexColor(palette.INK)
    sheet.add(String(0, height + HEAD - TITLE, chart.title, fontName=STRONG, fontSize=TITLE, fillColor=ink))
    if note:
        sheet.add(_text(width, height + HEAD - TITLE, note, anchor="end"))
    return sheet


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = palette.FAINT) -> String:
    return String(x, y, text, fontName=TEXT, fontSize=SMALL, textAnchor=anchor, fillColor=HexColor(colour))


def _empty(chart: Chart, width: float) -> Drawing:
    sheet = _sheet(chart, width, 16)
    sheet.add(_text(0, 4, "Nothing in this report."))
    return sheet


def _line(chart: Chart, width: float) -> Drawing:
    sheet = _sheet(chart, width, PLOT + 24)
    plot = LinePlot()
    plot.x, plot.y, plot.width, plot.height = 48, 22, width - 56, PLOT - 6
    series = [one for one in chart.series if any(number is not None for number in one.data)]
    plot.data = [[(at, number) for at, number in enumerate(one.data) if number is not None] for one in series]
    for place, one in enumerate(series):
        _style_line(plot.lines[place], place, is_point=len(one.data) == 1)
    _axis_of_days(plot.xValueAxis, chart.labels)
    _axis_of_numbers(plot.yValueAxis, [number for one in series for number in one.data if number is not None])
    sheet.add(plot)
    if len(series) > 1:
        _legend(sheet, series, width, PLOT + 24 + HEAD - TITLE)
    return sheet


def _style_line(line: Any, place: int, *, is_point: bool) -> None:
    line.strokeColor = HexColor(_colour(place))
    line.strokeWidth = 1 if place else 1.8
    if is_point:  # of which there is no line
        line.symbol = makeMarker("FilledCircle", size=5, fillColor=line.strokeColor, strokeColor=line.strokeColor)


def _axis_of_days(axis: Any, labels: Sequence[str]) -> None:
    last = len(labels) - 1
    step = -(-len(labels) // MOST_DATES)
    axis.valueMin, axis.valueMax = (0, last) if last else (-1, 1)
    axis.valueSteps = list(range(0, last + 1, step))
    axis.labelTextFormat = lambda at: labels[round(at)]
    axis.labels.dy = -3
    _style_axis(axis)


def _axis_of_numbers(axis: Any, numbers: Sequence[float]) -> None:
    axis.valueMin, axis.valueMax = min(0, *numbers), max(0, *numbers)
    axis.labelTextFormat = told
    axis.visibleGrid, axis.gridStrokeColor = True, HexColor(palette.LINE)
    axis.gridStrokeWidth, axis.maximumTicks = 0.5, 6
    axis.visibleAxis = axis.visibleTicks = False
    axis.rangeRound = "both"
    _style_axis(axis)


def _style_axis(axis: Any) -> None:
    axis.strokeColor, axis.strokeWidth = HexColor(palette.LINE), 0.8
    axis.labels.fontName, axis.labels.fontSize = TEXT, SMALL
    axis.labels.fillColor = HexColor(palette.FAINT)


def _legend(sheet: Drawing, series: Sequence[Series], width: float, y: float) -> None:
    x = width
    for place in range(len(series) - 1, -1, -1):
        sheet.add(_text(x, y, series[place].name, anchor="end"))
        x -= width_of(series[place].name, SMALL) + 15
        sheet.add(Rect(x, y + 2, 10, 2, strokeColor=None, fillColor=HexColor(_colour(place))))
        x -= 12


def _colour(place: int) -> str:
    """Of the first series, and of those it is seen beside."""
    return palette.PALE if place else palette.BRAND


def _bars(chart: Chart, width: float) -> Drawing:
    [series] = chart.series
    labels, numbers = chart.labels[:MOST_BARS], [number or 0 for number in series.data[:MOST_BARS]]
    height = BAR * len(labels)
    note = f"the first {MOST_BARS} of {len(chart.labels)}" if len(chart.labels) > MOST_BARS else ""
    sheet = _sheet(chart, width, height + 4, note)
    plot = HorizontalBarChart()
    plot.x, plot.y, plot.width, plot.height = NAMES, 0, width - NAMES - 60, height
    plot.data = [list(reversed(numbers))]
    plot.barWidth, plot.groupSpacing, plot.useAbsolute = 9, 8, 0
    plot.bars[0].fillColor, plot.bars[0].strokeColor = HexColor(palette.BRAND), None
    plot.valueAxis.valueMin, plot.valueAxis.valueMax = min(0, *numbers), max(0, *numbers)
    plot.valueAxis.visible = False
    plot.categoryAxis.categoryNames = [""] * len(labels)
    plot.categoryAxis.visible = False
    sheet.add(plot)
    for place, (label, number) in enumerate(zip(labels, numbers, strict=True)):
        y = height - BAR * (place + 0.5) - SMALL * 0.35
        name = fitted(label, NAMES - 12, SMALL)
        sheet.add(_text(NAMES - 8, y, name, anchor="end", colour=palette.INK))
        sheet.add(_text(width, y, told(number), anchor="end"))
    return sheet


def _pie(chart: Chart, width: float) -> Drawing:
    counts = _folded(chart)
    colours, total = palette.of_slices(list(counts)), sum(counts.values())
    height = max(110, 16 * len(counts) + 8)
    sheet = _sheet(chart, width, height)
    pie = Pie()
    pie.width = pie.height = 104
    pie.x, pie.y = 24, (height - 104) / 2
    pie.data, pie.labels = list(counts.values()), None
    pie.startAngle, pie.slices.strokeColor, pie.slices.strokeWidth = 90, HexColor("#ffffff"), 1
    for place, colour in enumerate(colours):
        pie.slices[place].fillColor = HexColor(colour)
    sheet.add(pie)
    top = height / 2 + 8 * len(counts)
    for place, ((label, number), colour) in enumerate(zip(counts.items(), colours, strict=True)):
        y = top - 16 * (place + 1) + 5
        sheet.add(Circle(NAMES + 16, y + 2.6, 3.5, strokeColor=None, fillColor=HexColor(colour)))
        sheet.add(_text(NAMES + 26, y, fitted(label, 200, SMALL), colour=palette.INK))
        sheet.add(_text(NAMES + 290, y, told(number), anchor="end"))
        sheet.add(_text(NAMES + 335, y, f"{100 * number / total:.1f} %", anchor="end"))
    return sheet


def _folded(chart: Chart) -> Mapping[str, float]:
    """The slices, of which the least are one where there are too many."""
    [series] = chart.series
    counts = {label: number for label, number in zip(chart.labels, series.data, strict=True) if number}
    if len(counts) <= MOST_SLICES:
        return counts
    largest = sorted(counts, key=lambda label: -counts[label])[: MOST_SLICES - 1]
    rest = sum(number for label, number in counts.items() if label not in largest)
    return {label: counts[label] for label in largest} | {f"{len(counts) - len(largest)} others": rest}


def told(number: float) -> str:
    """A number for people: with its thousands apart, and no more digits than say anything."""
    rounded = round(number, 2)
    return f"{rounded:,.2f}".rstrip("0").rstrip(".")


_DRAW: Mapping[str, Callable[[Chart, float], Drawing]] = {"line": _line, "bar": _bars, "pie": _pie}

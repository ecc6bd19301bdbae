"""What a report is of, in sentences for people; times are those of its zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

from devicehub.reports.report import Report


def sentences(report: Report) -> list[str]:
    """From when until when, if it is of a range; and when it was made."""
    made = f"Made on {_told(report, report.generated_at)}. Times are those of {report.timezone}."
    if report.range is None:
        return [made]
    start, end = (_told(report, datetime.fromisoformat(report.range[name])) for name in ("from", "to"))
    return [f"From {start} until {end}.", made]


def _told(report: Report, moment: datetime) -> str:
    return f"{moment.astimezone(ZoneInfo(report.timezone)):%Y-%m-%d %H:%M}"

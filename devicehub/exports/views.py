"""An export as the API shows it; `ExportSchema` documents the same object."""

from typing import Any

from devicehub.core import clock
from devicehub.exports.errors import ExporterGone, ExportStorageFull, ExportTooWide
from devicehub.jobs.errors import TimedOut, WorkerLost
from devicehub.jobs.models import Job
from devicehub.jobs.telling import shape

_WHY = {
    ExportStorageFull.code: "There was not enough room for the file.",
    ExportTooWide.code: "Too many different events occur in the range; name those that are to be columns.",
    ExporterGone.code: ExporterGone.detail,
    WorkerLost.code: "It outlived as many workers as it may.",
    TimedOut.code: "It took longer than an export may; ask for a shorter range.",
}
_UNKNOWN = "Something went wrong on our side."
_SCALE = ("bytes", "KB", "MB", "GB", "TB")


def export(job: Job) -> dict[str, Any]:
    """Everything of an export that its owner may know."""
    asked = job.arguments
    ended = job.finished_at
    return {
        "jobId": str(job.id),
        "status": job.status,
        "type": asked["type"],
        "format": asked["format"],
        "layout": asked.get("layout", "long"),
        "compress": asked.get("compress", False),
        "dateRange": _camel(asked["date_range"]) if "date_range" in asked else None,
        "filters": _camel(asked["filters"]),
        "scheduleId": asked.get("schedule", {}).get("id"),
        "progress": shape(job.progress, job.status),
        "result": _result(job) if job.status in ("completed", "expired") else None,
        "error": error(job),
        "attempts": job.attempts,
        "createdAt": clock.rfc3339(job.created_at),
        "startedAt": _time(job.started_at),
        "completedAt": _time(ended),
        "duration": round((ended - job.started_at).total_seconds(), 3) if ended and job.started_at else None,
    }


def _result(job: Job) -> dict[str, Any]:
    file = job.result
    return {
        "fileName": file["file_name"],
        "fileSize": file["file_size"],
        "recordCount": file["record_count"],
        "sha256": file["sha256"],
        "downloadCount": file["download_count"],
        "expiresAt": clock.rfc3339(file["expires_at"]),
    }


def error(job: Job) -> dict[str, str] | None:
    """Why there is no file, once that is settled."""
    if job.status != "failed":
        return None
    code = job.error.get("code", "")
    return {"code": code, "message": _WHY.get(code, _UNKNOWN)}


def amount(job: Job) -> str:
    """Such as `1 record` or `1,234,567 records`."""
    number = job.result["record_count"]
    return f"{number:,} record" + ("" if number == 1 else "s")


def size(number: float) -> str:
    """Such as `512 bytes` or `1.4 MB`."""
    power = 0
    while number >= 1000 and power < len(_SCALE) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.1f} {_SCALE[power]}" if power else f"{number} {_SCALE[0]}"


def _time(moment: Any) -> str | None:
    return clock.rfc3339(moment) if moment else None


def _camel(stored: Any) -> dict[str, Any]:
    return {_NAMES[name]: value for name, value in stored.items()}


_NAMES = {
    "start_date": "startDate",
    "end_date": "endDate",
    "device_ids": "deviceIds",
    "event_types": "eventTypes",
    "levels": "levels",
    "include_inactive": "includeInactive",
}

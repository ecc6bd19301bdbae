"""Making the file of an export: rows flow from a cursor through a layout into the store, never all in memory.

Each attempt writes a file of its own, under an id that follows from the job and the attempt: what one before it
left behind is known by that, and removed. The file is published by the write that completes the job.
"""

import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO, cast

from bson import ObjectId

from devicehub.core import clock, config, ids
from devicehub.core.actor import Actor
from devicehub.core.files import Writer
from devicehub.devices.models import Device
from devicehub.exports import layouts
from devicehub.exports.errors import ExporterGone, ExportTooWide
from devicehub.exports.files import FILES
from devicehub.exports.layouts import Layout
from devicehub.jobs.registry import Context
from devicehub.logs import extracts
from devicehub.logs.extracts import Wanted
from devicehub.reports import rendering
from devicehub.reports import service as reports

MOST_COLUMNS = 200
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json", "ndjson": "application/x-ndjson"}
GZIP = "application/gzip"

Arguments = Mapping[str, Any]
Fill = Callable[[BinaryIO], int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written into the file, and what the file is."""

    fill: Fill
    extension: str
    media_type: str


class _Gzip(gzip.GzipFile):
    """Does not say where it is: a workbook's zipfile takes that for leave to go back and fill in a size."""

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


def build(context: Context) -> dict[str, Any]:
    """Make the file; what is to be known of it. Raises ExporterGone, ExportTooWide or ExportStorageFull."""
    if context.actor is None:
        raise ExporterGone()
    for attempt in range(1, context.attempt + 1):  # this one too: a job that is retried by hand counts anew
        FILES.delete(file_id(context.job_id, attempt))
    asked = context.arguments
    plan = (_logs if asked["type"] == "logs" else _report)(context, context.actor)
    name = _name(asked, context.job_id) + plan.extension
    with _writing(context, name) as writer:
        if asked.get("compress"):
            name, media_type = f"{name}.gz", GZIP
            with _Gzip(fileobj=cast(BinaryIO, writer), mode="wb", compresslevel=5, mtime=0) as packed:
                records = plan.fill(cast(BinaryIO, packed))
        else:
            media_type = plan.media_type
            records = plan.fill(cast(BinaryIO, writer))
        context.check()
        stored = writer.finish()
    return {
        "file_id": stored.id,
        "file_name": name,
        "media_type": media_type,
        "file_size": stored.size,
        "sha256": stored.sha256,
        "record_count": records,
        "download_count": 0,
        "expires_at": clock.now() + timedelta(seconds=config.current().export_retention),
    }


def take_back(result: Mapping[str, Any]) -> None:
    """Remove a file that is whole, but for whom nobody waits any more."""
    FILES.delete(result["file_id"])


def file_id(job_id: str, attempt: int) -> ObjectId:
    """The id of the file that an attempt at a job writes."""
    return ids.derived(f"export:{job_id}", attempt)


@contextmanager
def _writing(context: Context, name: str) -> Iterator[Writer]:
    """A file, of which nothing is left when the block fails."""
    settings = config.current()
    context.progress("Preparing", 0)
    own = file_id(context.job_id, context.attempt)
    writer = FILES.create(own, name, reserve_mb=settings.storage_reserve_mb)
    try:
        yield writer
    except BaseException:
        writer.discard()
        raise


def _logs(context: Context, actor: Actor) -> Plan:
    asked = context.arguments
    wanted = wanted_logs(asked)
    extension = asked["format"]

    def fill(out: BinaryIO) -> int:
        total, done = extracts.count(actor, wanted), 0
        layout = layout_of(actor, wanted, extension, asked.get("layout", "long"))
        out.write(layout.head())
        for batch in extracts.batches(actor, wanted):
            out.write(layout.rows(batch))
            done += len(batch)
            context.progress("Writing", done, max(total, done))
        out.write(layout.tail())
        return done

    return Plan(fill, f".{extension}", MEDIA_TYPES[extension])


def layout_of(actor: Actor, wanted: Wanted, extension: str, layout: str) -> Layout:
    """How logs are written into a file of a format; raises ExportTooWide."""
    names = dict(Device.objects.visible_to(actor).scalar("id", "name"))

    def name_of(device_id: ObjectId) -> str:
        return names.get(device_id, "")

    if extension == "csv" and layout == "wide":
        events = list(dict.fromkeys(wanted.events)) or extracts.events_of(actor, wanted, at_most=MOST_COLUMNS)
        if len(events) > MOST_COLUMNS:
            raise ExportTooWide(limit=MOST_COLUMNS)
        return layouts.WideCsv(name_of, events)
    made: Mapping[str, type[layouts.LongCsv | layouts.Ndjson]] = {
        "csv": layouts.LongCsv,
        "json": layouts.Json,
        "ndjson": layouts.Ndjson,
    }
    return made[extension](name_of)


def wanted_logs(asked: Arguments) -> Wanted:
    """Which logs an export asks for."""
    start, end = _dates(asked)
    filters = asked["filters"]
    return Wanted(
        start=start,
        end=end,
        device_ids=[ObjectId(one) for one in filters.get("device_ids", ())],
        events=filters.get("event_types", ()),
        levels=filters.get("levels", ()),
    )


def _dates(asked: Arguments) -> tuple[datetime, datetime]:
    start, end = (datetime.fromisoformat(asked["date_range"][name]) for name in ("start_date", "end_date"))
    return start, end


def _report(context: Context, actor: Actor) -> Plan:
    asked, filters = context.arguments, context.arguments["filters"]
    form = rendering.FORMATS[asked["format"]]

    def fill(out: BinaryIO) -> int:
        context.progress("Counting", 0)
        if asked["type"] == "usage_report":
            start, end = _dates(asked)
            report = reports.usage_report(
                actor,
                start=start,
                end=end,
                device_ids=filters.get("device_ids", ()),
                event_types=filters.get("event_types", ()),
            )
        else:
            report = reports.device_report(
                actor,
                device_ids=filters.get("device_ids", ()),
                include_inactive=filters.get("include_inactive", True),
            )
        return form.write(report, out, lambda done: context.progress("Writing", done))

    return Plan(fill, f".{form.extension}", form.media_type)


def _name(asked: Arguments, job_id: str) -> str:
    """Such as `logs_20260101-20260131_c3d4e5`, which says what it is wherever it ends up."""
    dates = [clock.now()] if "date_range" not in asked else list(_dates(asked))
    span = "-".join(f"{moment:%Y%m%d}" for moment in dates)
    return f"{asked['type']}_{span}_{job_id[-6:]}"

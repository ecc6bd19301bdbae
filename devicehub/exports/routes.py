"""Exports: the door."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from flask import Response, request, url_for
from flask.views import MethodView

from devicehub.core.errors import InvalidDateRange
from devicehub.devices.errors import DeviceNotFound
from devicehub.exports import direct, errors, schemas, views
from devicehub.exports import service as exports
from devicehub.exports.files import FILES
from devicehub.web import downloads, idempotency
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor
from devicehub.web.pagination import take_page
from devicehub.web.responses import json_response

blp = Blueprint("exports", __name__, url_prefix="/api/export", description="Files of logs, usage and devices.")
of_device = Blueprint(
    "device_exports", __name__, url_prefix="/api/devices", description="Logs of a device, as a file."
)
blueprints = (blp, of_device)

_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where it is followed."}}
_ANY: dict[str, Any] = {}  # of whatever type the file is


@blp.route("/jobs")
class Exports(MethodView):
    @blp.guard(scope="exports:read")
    @blp.arguments(schemas.ExportQuerySchema, location="query")
    @blp.response(200, schemas.ExportListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """List one's own exports

        Newest first.
        """
        page = take_page(query)
        found, total = exports.find(current_actor(), query, page)
        return json_response({"items": [views.export(job) for job in found], "pagination": page.describe(total)})

    @blp.guard(limit="export", scope="exports:write")
    @blp.arguments(schemas.NewExportSchema)
    @idempotency.accepted
    @blp.response(202, schemas.ExportSchema, headers=_LOCATION)
    @blp.raises(DeviceNotFound, InvalidDateRange)
    def post(self, wanted: dict[str, Any]) -> Response:
        """Ask for an export

        It is made in the background. Follow it where `Location` says, or live by `job-progress`; a notification
        and a mail say when the file is there, and it is kept for 7 days.
        """
        made = exports.create(current_actor(), wanted, job_id=idempotency.derived_id())
        where = url_for("exports.ExportById", export_id=str(made.id))
        return json_response(views.export(made), 202, {"Location": where})


@blp.route("/jobs/<id:export_id>")
class ExportById(MethodView):
    @blp.guard(scope="exports:read")
    @blp.response(200, schemas.ExportSchema)
    @blp.raises(errors.ExportNotFound)
    def get(self, export_id: str) -> Response:
        """Read an export"""
        return json_response(views.export(exports.get(current_actor(), export_id)))

    @blp.guard(scope="exports:write")
    @blp.response(204)
    @blp.raises(errors.ExportNotFound, errors.ExportIsNotOver)
    def delete(self, export_id: str) -> None:
        """Delete an export

        One that is over, with its file.
        """
        exports.delete(current_actor(), export_id)


@blp.route("/jobs/<id:export_id>/cancel")
class ExportCancellation(MethodView):
    @blp.guard(scope="exports:write")
    @blp.response(200, schemas.ExportSchema)
    @blp.raises(errors.ExportNotFound, errors.ExportIsOver)
    def post(self, export_id: str) -> Response:
        """Call an export off

        At once when it waits; one that is being made stops within 2 seconds. Nothing is left of its file.
        """
        return json_response(views.export(exports.cancel(current_actor(), export_id)))


@blp.route("/jobs/<id:export_id>/download")
class ExportDownload(MethodView):
    @blp.guard(scope="exports:read")
    @blp.response(200, _ANY, content_type="*/*", headers=downloads.HEADERS)
    @blp.alt_response(206, schema=_ANY, content_type="*/*", headers=downloads.PART_HEADERS)
    @blp.alt_response(304, headers=downloads.HEADERS)
    @blp.raises(errors.ExportNotFound, errors.ExportNotReady, errors.ExportExpired, downloads.RangeNotSatisfiable)
    @blp.takes(downloads.RANGE, downloads.IF_RANGE)
    def get(self, export_id: str) -> Response:
        """Download the file of an export

        In the type it is of. `Range` fetches a part of it (206), so that a download that broke off goes on where
        it did; with `If-Range: <ETag>` only of the same file.
        """
        actor = current_actor()
        job = exports.fetch(actor, export_id)
        response = downloads.respond(_file(job.result))
        if request.method == "GET" and downloads.is_from_the_start(response):
            exports.count_download(actor, job)
        return response


@blp.route("/stats")
class ExportStats(MethodView):
    @blp.guard(scope="exports:read")
    @blp.response(200, schemas.ExportStatsSchema)
    def get(self) -> dict[str, Any]:
        """Count one's own exports"""
        return exports.stats(current_actor())


@of_device.route("/<id:device_id>/logs/export")
class LogExport(MethodView):
    @of_device.guard(limit="device", scope="logs:read")
    @of_device.arguments(schemas.LogExportQuerySchema, location="query")
    @of_device.response(200, _ANY, content_type="*/*")
    @of_device.raises(DeviceNotFound, InvalidDateRange, errors.ExportTooLarge, errors.ExportTooWide)
    def get(self, query: dict[str, Any], device_id: str) -> Response:
        """Download a device's logs at once

        As CSV, JSON or NDJSON, up to 10 000 of them; for more, ask for an export.
        """
        file: direct.File = direct.logs(current_actor(), device_id, query)
        return downloads.stream(file.name, file.media_type, _nothing() if request.method == "HEAD" else file.parts)


def _file(result: Mapping[str, Any]) -> downloads.File:
    return downloads.File(
        result["file_name"],
        result["media_type"],
        result["file_size"],
        result["sha256"],
        partial(FILES.read, result["file_id"]),
    )


def _nothing() -> Iterator[bytes]:
    yield from ()

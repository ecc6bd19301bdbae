"""Imports of logs: the doors."""

from collections.abc import Iterator
from typing import Any

from flask import Response, url_for
from flask.views import MethodView

from devicehub.core.errors import Busy
from devicehub.jobs.errors import JobIsOver
from devicehub.logs import imports, schemas
from devicehub.logs.errors import ImportNotFound
from devicehub.web import idempotency, lines
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor
from devicehub.web.lines import Line
from devicehub.web.pagination import cursor_list, take_cursor
from devicehub.web.responses import json_response
from devicehub.web.schemas import CursorQuerySchema

blp = Blueprint("imports", __name__, url_prefix="/api/logs", description="Logs of long ago, many at a time.")

_COLUMNS: lines.Columns = {
    **dict.fromkeys(("deviceId", "device_id", "serialNumber", "serial_number"), str),
    **dict.fromkeys(("event", "level", "message", "timestamp"), str),
    "value": lines.number,
    "sequence": lines.whole,
    "metadata": lines.json_object,
}
_EXAMPLE = {
    lines.NDJSON: '{"serialNumber": "SN-1", "event": "units_consumed", "value": 0.75}\n',
    lines.CSV: "serialNumber,event,value\nSN-1,units_consumed,0.75\n",
}
_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where to ask how far it is."}}
_shown, _result = schemas.ImportSchema(), schemas.ImportResultSchema()


@blp.route("/import")
class LogImport(MethodView):
    @blp.guard("operator", limit="device", scope="logs:write")
    @lines.accepted(_COLUMNS, _EXAMPLE)
    @idempotency.accepted
    @blp.response(200, schemas.ImportResultSchema)
    @blp.alt_response(202, schema=schemas.ImportSchema, headers=_LOCATION)
    def post(self, lines: Iterator[Line]) -> Response:
        """Import logs, a line each

        NDJSON, or CSV with a header: the fields of a log, and `deviceId` or `serialNumber`. As old as is
        kept.
        Each line is judged by itself. Of more than 10 000 lines a job does it: the answer is 202, with its place.
        """
        made = imports.add(current_actor(), lines, import_id=idempotency.derived_id())
        if isinstance(made, str):
            where = {"Location": url_for("imports.LogImportById", import_id=made)}
            return json_response(_shown.dump(imports.get(current_actor(), made)), 202, where)
        return json_response(_result.dump(imports.told(made)))


@blp.route("/imports")
class LogImports(MethodView):
    @blp.guard(limit="device", scope="logs:write")
    @blp.arguments(CursorQuerySchema, location="query")
    @blp.response(200, schemas.ImportListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List one's imports

        Those that a job does, of 30 days, newest first.
        """
        actor = current_actor()
        of = ("imports", actor.organization_id, actor.user_id)
        return cursor_list(imports.find(actor, take_cursor(query, *of)), *of)


@blp.route("/imports/<id:import_id>")
class LogImportById(MethodView):
    @blp.guard(limit="device", scope="logs:write")
    @blp.response(200, schemas.ImportSchema)
    @blp.raises(ImportNotFound)
    def get(self, import_id: str) -> dict[str, Any]:
        """Tell how far an import is, and what came of it"""
        return imports.get(current_actor(), import_id)


@blp.route("/imports/<id:import_id>/cancel")
class LogImportCancellation(MethodView):
    @blp.guard("operator", limit="device", scope="logs:write")
    @blp.response(200, schemas.ImportSchema)
    @blp.raises(ImportNotFound, JobIsOver, Busy)
    def post(self, import_id: str) -> dict[str, Any]:
        """Call an import off

        At once when it waits; a worker that is at it stops within 2 seconds. What is written stays.
        """
        return imports.cancel(current_actor(), import_id)

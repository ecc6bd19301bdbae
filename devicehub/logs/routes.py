"""Logs: the doors."""

from typing import Any

from flask import Response
from flask.views import MethodView

from devicehub.core import clock
from devicehub.core.errors import InvalidDateRange, UriTooLong
from devicehub.core.paging import Stretch
from devicehub.devices.errors import DeviceNotFound
from devicehub.logs import import_routes, intake, listing, schemas, views
from devicehub.logs import service as logs
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor
from devicehub.web.pagination import cursor_list, take_cursor
from devicehub.web.responses import json_response

blp = Blueprint("logs", __name__, url_prefix="/api", description="What devices log.")
blueprints = (blp, import_routes.blp)


@blp.route("/devices/<id:device_id>/logs")
class Logs(MethodView):
    @blp.guard("operator", limit="ingest", scope="logs:write", devices=True)
    @blp.arguments(schemas.NewLogsSchema)
    @blp.response(201, schemas.AddedSchema)
    @blp.raises(DeviceNotFound)
    def post(self, body: dict[str, Any], device_id: str) -> Response:
        """Write a log, or up to 1000

        One is answered with itself. Of `logs` each is judged by itself, the good ones are kept, and the answer
        tells which were not. A `sequence` that is there already is not written again.
        """
        if "logs" in body:
            return _add_many(body["logs"], device_id)
        [written] = logs.add(current_actor(), device_id, [intake.dated(body, clock.now())])
        told = {"accepted": 0, "duplicates": 1, "rejected": []} if written is None else {"log": views.log(written)}
        return json_response(told, 201)

    @blp.guard(limit="device", scope="logs:read")
    @blp.arguments(schemas.LogQuerySchema, location="query")
    @blp.response(200, schemas.LogListSchema)
    @blp.raises(DeviceNotFound, InvalidDateRange)
    def get(self, query: dict[str, Any], device_id: str) -> Response:
        """List a device's logs

        In the order of their `timestamp`. What is written meanwhile shifts nothing. A `search` looks at 20 000
        logs at a time: go on until `nextCursor` is null.
        """
        of = ("logs", device_id, query["order"])
        return _shown(listing.find(current_actor(), device_id, query, take_cursor(query, *of)), *of)


@blp.route("/logs")
class AllLogs(MethodView):
    @blp.guard(limit="device", scope="logs:read")
    @blp.arguments(schemas.AllLogsQuerySchema, location="query")
    @blp.response(200, schemas.LogListSchema)
    @blp.raises(InvalidDateRange, UriTooLong)
    def get(self, query: dict[str, Any]) -> Response:
        """List an organization's logs

        In the order of their `timestamp`, of all devices or of up to 20. What narrows them by anything but
        devices, time and a level of `warning` or above looks at 20 000 logs at a time: go on until `nextCursor` is
        null.
        """
        actor = current_actor()
        of = ("all-logs", actor.organization_id, query["order"])
        return _shown(listing.find_all(actor, query, take_cursor(query, *of)), *of)


@blp.route("/devices/<id:device_id>/logs/gaps")
class LogGaps(MethodView):
    @blp.guard(limit="device", scope="logs:read")
    @blp.response(200, schemas.GapsSchema)
    @blp.raises(DeviceNotFound)
    def get(self, device_id: str) -> logs.Gaps:
        """Tell which logs of a device never came

        Of those that carry a `sequence`.
        """
        return logs.gaps(current_actor(), device_id)


def _shown(found: Stretch[dict[str, Any]], *of: str) -> Response:
    listed = cursor_list(found, *of)
    items = [views.log(row) for row in found.rows]
    pagination = {"limit": found.limit, "nextCursor": listed["pagination"]["next_cursor"]}
    return json_response({"items": items, "pagination": pagination})


def _add_many(many: list[Any], device_id: str) -> Response:
    sound, wrong = intake.judge(many)
    written = logs.add(current_actor(), device_id, list(sound.values()))
    duplicates = sum(row is None for row in written)
    rejected = [{"index": index, "errors": errors} for index, errors in sorted(wrong.items())]
    told = {"accepted": len(written) - duplicates, "duplicates": duplicates, "rejected": rejected}
    return json_response(told, 201)

"""Reports: the doors. Schedules are everybody's own."""

from typing import Any

from flask import Response, url_for
from flask.views import MethodView

from devicehub.core.errors import InvalidDateRange, InvalidInput, UriTooLong
from devicehub.devices.errors import DeviceNotFound
from devicehub.organizations.errors import TooMany
from devicehub.reports import due, schedules, schemas
from devicehub.reports import service as reports
from devicehub.reports.errors import ScheduleNotFound
from devicehub.web import conditional, idempotency
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor
from devicehub.web.pagination import enveloped, take_page
from devicehub.web.responses import json_response
from devicehub.web.schemas import PageQuerySchema

blp = Blueprint(
    "reports", __name__, url_prefix="/api/reports", description="Figures to be drawn, now and regularly."
)

_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where it is to be found."}}
_schedule = schemas.ScheduleSchema()
_run = schemas.RunSchema()


@blp.route("/usage")
class UsageReport(MethodView):
    @blp.guard(limit="analytics", scope="analytics:read")
    @blp.arguments(schemas.UsageReportQuerySchema, location="query")
    @conditional.documented
    @blp.response(200, schemas.ReportSchema)
    @blp.raises(DeviceNotFound, InvalidDateRange, UriTooLong)
    def get(self, query: dict[str, Any]) -> Response:
        """Tell usage such that it can be drawn

        The figures of the dashboard, as charts and tables. Up to 5 minutes old.
        """
        if "devices" in query:
            query["devices"] = _ids(query["devices"])
        found = reports.shown_usage(current_actor(), query, fresh=conditional.wants_fresh())
        return conditional.answer(found)


@blp.route("/schedules")
class Schedules(MethodView):
    @blp.guard()
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, schemas.ScheduleListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """List one's report schedules

        Those in the active organization, newest first.
        """
        page = take_page(query)
        return json_response(enveloped(schemas.ScheduleSchema, *schedules.find(current_actor(), page), page))

    @blp.guard()
    @blp.arguments(schemas.NewScheduleSchema)
    @idempotency.accepted
    @blp.response(201, schemas.ScheduleSchema, headers=_LOCATION)
    @blp.raises(DeviceNotFound, TooMany)
    def post(self, fields: dict[str, Any]) -> Response:
        """Have a report made regularly

        Of the day, the seven days or the month before, at an hour of the organization's time zone.
        """
        made = schedules.create(current_actor(), fields, schedule_id=idempotency.derived_id())
        where = url_for("reports.ScheduleById", schedule_id=made.id)
        return json_response(_schedule.dump(made), 201, {"Location": where})


@blp.route("/schedules/<id:schedule_id>")
class ScheduleById(MethodView):
    @blp.guard()
    @blp.response(200, schemas.ScheduleSchema)
    @blp.raises(ScheduleNotFound)
    def get(self, schedule_id: str) -> Any:
        """Read one of one's report schedules"""
        return schedules.get(current_actor(), schedule_id)

    @blp.guard()
    @blp.arguments(schemas.SchedulePatchSchema, required=False)
    @blp.response(200, schemas.ScheduleSchema)
    @blp.raises(ScheduleNotFound, DeviceNotFound)
    def patch(self, changes: dict[str, Any], schedule_id: str) -> Any:
        """Change one of one's report schedules"""
        return schedules.update(current_actor(), schedule_id, changes)

    @blp.guard()
    @blp.response(204)
    @blp.raises(ScheduleNotFound)
    def delete(self, schedule_id: str) -> None:
        """Delete one of one's report schedules"""
        schedules.delete(current_actor(), schedule_id)


@blp.route("/schedules/<id:schedule_id>/run")
class ScheduleRun(MethodView):
    @blp.guard(limit="export")
    @idempotency.accepted
    @blp.response(202, schemas.RunSchema)
    @blp.raises(ScheduleNotFound)
    def post(self, schedule_id: str) -> Response:
        """Have a scheduled report made now

        Of the days that it would have been of when it was last due; its next time stays.
        """
        asked = due.run(current_actor(), schedule_id, run_id=idempotency.derived_id())
        return json_response(_run.dump(asked), 202)


def _ids(text: str) -> list[str]:
    """The ids that a list of them names; raises InvalidInput for too many."""
    found = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if len(found) > schemas.MOST_DEVICES:
        raise InvalidInput(errors={"devices": [f"Name {schemas.MOST_DEVICES} devices at most."]})
    return found

"""Usage and analytics: the doors."""

import re
from typing import Any

from flask import Response
from flask.views import MethodView

from devicehub.analytics import schemas
from devicehub.analytics import service as analytics
from devicehub.core.errors import InvalidDateRange, InvalidInput
from devicehub.devices.errors import DeviceNotFound
from devicehub.web import conditional
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint("analytics", __name__, url_prefix="/api", description="What devices did, and how much.")

_ID = re.compile(r"[0-9a-f]{24}")


@blp.route("/devices/<id:device_id>/usage")
class Usage(MethodView):
    @blp.guard(limit="analytics", scope="analytics:read")
    @blp.arguments(schemas.UsageQuerySchema, location="query")
    @conditional.documented
    @blp.response(200, schemas.UsageSchema)
    @blp.raises(DeviceNotFound, InvalidDateRange)
    def get(self, query: dict[str, Any], device_id: str) -> Response:
        """Tell what a device used

        In buckets of the calendar of a time zone, also those in which nothing happened.
        """
        fresh = conditional.wants_fresh()
        return conditional.answer(analytics.usage(current_actor(), device_id, query, fresh=fresh))


@blp.route("/analytics/dashboard")
class Dashboard(MethodView):
    @blp.guard(limit="analytics", scope="analytics:read")
    @blp.arguments(schemas.RangeQuerySchema, location="query")
    @conditional.documented
    @blp.response(200, schemas.DashboardSchema)
    @blp.raises(InvalidDateRange)
    def get(self, query: dict[str, Any]) -> Response:
        """Tell what the fleet is and did

        Up to 5 minutes old (`Age`); `Cache-Control: no-cache` asks for it as it is now.
        """
        fresh = conditional.wants_fresh()
        return conditional.answer(analytics.dashboard(current_actor(), query, fresh=fresh))


@blp.route("/analytics/comparison")
class Comparison(MethodView):
    @blp.guard(limit="analytics", scope="analytics:read")
    @blp.arguments(schemas.ComparisonQuerySchema, location="query")
    @conditional.documented
    @blp.response(200, schemas.ComparisonSchema)
    @blp.raises(DeviceNotFound, InvalidDateRange)
    def get(self, query: dict[str, Any]) -> Response:
        """Compare devices

        Up to 5 minutes old.
        """
        fresh = conditional.wants_fresh()
        query["devices"] = _ids(query["devices"])
        return conditional.answer(analytics.comparison(current_actor(), query, fresh=fresh))


@blp.route("/analytics/trends")
class Trends(MethodView):
    @blp.guard(limit="analytics", scope="analytics:read")
    @blp.arguments(schemas.RangeQuerySchema, location="query")
    @conditional.documented
    @blp.response(200, schemas.TrendsSchema)
    @blp.raises(InvalidDateRange)
    def get(self, query: dict[str, Any]) -> Response:
        """Compare a range with the one before it, and tell what may come

        A range that still runs is compared with the same part of the one before. Up to 5 minutes old.
        """
        fresh = conditional.wants_fresh()
        return conditional.answer(analytics.trends_of(current_actor(), query, fresh=fresh))


@blp.route("/analytics/realtime")
class Realtime(MethodView):
    @blp.guard(limit="analytics", scope="analytics:read")
    @conditional.documented
    @blp.response(200, schemas.RealtimeSchema)
    def get(self) -> Response:
        """Tell what goes on now

        Up to 30 seconds old.
        """
        return conditional.answer(analytics.realtime(current_actor(), fresh=conditional.wants_fresh()))


def _ids(text: str) -> list[str]:
    """The ids that a list of them names; raises InvalidInput, or DeviceNotFound for what can be none."""
    found = list(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    if not schemas.LEAST_COMPARED <= len(found) <= schemas.MOST_COMPARED:
        raise InvalidInput(
            errors={"devices": [f"Name {schemas.LEAST_COMPARED} to {schemas.MOST_COMPARED} different devices."]}
        )
    for one in found:
        if not _ID.fullmatch(one):
            raise DeviceNotFound(device_id=one)
    return found

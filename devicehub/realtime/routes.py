"""Server-sent events: the door."""

from typing import Any

from flask import Response, request
from flask.views import MethodView

from devicehub.core.errors import InsufficientRole, Unavailable
from devicehub.realtime import service as realtime
from devicehub.realtime import streaming, tickets, transport
from devicehub.realtime.errors import TooManyConnections
from devicehub.realtime.schemas import EventsQuerySchema, StatsSchema, TicketSchema
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint("realtime", __name__, url_prefix="/api/sse", description="Live events over plain HTTP.")


_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was heard: what came after it is told first.",
    "schema": {"type": "string"},
}


@blp.route("/events")
class Events(MethodView):
    @blp.guard(scope="events:read", token_in_query=True)
    @blp.arguments(EventsQuerySchema, location="query")
    @blp.response(200, {"type": "string"}, content_type="text/event-stream")
    @blp.raises(Unavailable, TooManyConnections)
    @blp.takes(_LAST_EVENT_ID)
    def get(self, query: dict[str, str]) -> Response:
        """Hear live events (SSE)

        `connected` comes first, then what was missed since `Last-Event-ID`, then `device-update`,
        `device-heartbeat`, `notification` and `job-progress` as they happen, each with its `id`; a comment every
        15 s. A plain `EventSource`, which cannot send headers, passes a ticket (`?ticket=`) or its access token
        (`?token=`), but no key.
        """
        if request.method == "HEAD":
            return Response(mimetype="text/event-stream")
        seen = request.headers.get("Last-Event-ID") or query["last_event_id"]
        frames = streaming.stream(current_actor(), transport.client_socket(request.environ), seen)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Response(frames, mimetype="text/event-stream", headers=headers)


@blp.route("/ticket")
class Ticket(MethodView):
    @blp.guard()
    @blp.response(200, TicketSchema)
    @blp.raises(Unavailable)
    def post(self) -> dict[str, Any]:
        """Get a ticket for one stream

        It opens one stream (`?ticket=`) as the caller, once, within a minute: for a page that wants no token in an
        address.
        """
        return {"ticket": tickets.issue(current_actor()), "expires_in": tickets.LIFE_S}


@blp.route("/stats")
class Stats(MethodView):
    @blp.guard()
    @blp.response(200, StatsSchema)
    @blp.raises(InsufficientRole)
    def get(self) -> dict[str, Any]:
        """Count live connections

        Those of one's organization, for its admins; for platform admins all, and by organization. A process that
        ended without a word is counted for ten seconds more.
        """
        return realtime.stats(current_actor())

"""Server-sent events: the door."""

from flask import Response, request
from flask.views import MethodView

from devicehub.core.errors import Unavailable
from devicehub.realtime import streaming, transport
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint("realtime", __name__, url_prefix="/api/sse", description="Live events over plain HTTP.")


_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was heard: what came after it is told first.",
    "schema": {"type": "string"},
}
_IN_QUERY = {
    "name": "lastEventId",
    "in": "query",
    "description": "The same for clients that cannot send headers; the header counts where there are both.",
    "schema": {"type": "string"},
}


@blp.route("/events")
class Events(MethodView):
    @blp.guard(token_in_query=True)
    @blp.response(200, {"type": "string"}, content_type="text/event-stream")
    @blp.raises(Unavailable)
    @blp.takes(_LAST_EVENT_ID, _IN_QUERY)
    def get(self) -> Response:
        """Hear live events (SSE)

        `connected` comes first, then `device-update` and `device-heartbeat` as they happen, each with its `id`; a
        comment every 15 s. A plain `EventSource`, which cannot send headers, passes its token as `?token=`.
        """
        seen = request.headers.get("Last-Event-ID") or request.args.get("lastEventId")
        frames = streaming.stream(current_actor(), transport.client_socket(request.environ), seen)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Response(frames, mimetype="text/event-stream", headers=headers)

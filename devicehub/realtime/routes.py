"""Server-sent events: the door."""

from flask import Response, request
from flask.views import MethodView

from devicehub.core.errors import Unavailable
from devicehub.realtime import service as realtime
from devicehub.realtime import transport
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint("realtime", __name__, url_prefix="/api/sse", description="Live events over plain HTTP.")


@blp.route("/events")
class Events(MethodView):
    @blp.guard(scope="events:read", token_in_query=True)
    @blp.response(200, {"type": "string"}, content_type="text/event-stream")
    @blp.raises(Unavailable)
    def get(self) -> Response:
        """Hear live events (SSE)

        `connected` comes first, then `device-update` and `device-heartbeat` as they happen, each with its `id`; a
        comment every 15 s. A plain `EventSource`, which cannot send headers, passes its access token (but no key)
        as `?token=`.
        """
        frames = realtime.stream(current_actor(), transport.client_socket(request.environ))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Response(frames, mimetype="text/event-stream", headers=headers)

"""Health for people and orchestrators, and the API's own description: `/openapi.json` and `/docs`."""

from functools import lru_cache
from pathlib import Path

import orjson
from apispec import APISpec
from flask import Blueprint as FlaskBlueprint
from flask import Response, render_template
from flask.views import MethodView

from devicehub.monitoring import schemas
from devicehub.monitoring import service as monitoring
from devicehub.web import openapi
from devicehub.web.blueprint import Blueprint
from devicehub.web.responses import PAGE_POLICY, json_response, static_file

blp = Blueprint("monitoring", __name__, description="How the service is; never rate limited.")
pages = FlaskBlueprint("docs", __name__, template_folder="templates")

_STATIC = Path(__file__).parent / "static"


@blp.route("/health")
class Health(MethodView):
    @blp.public(limit="none")
    @blp.response(200, schemas.HealthSchema)
    @blp.alt_response(503, schema=schemas.HealthSchema, description="MongoDB is away.")
    def get(self) -> Response:
        """Tell which dependencies answer

        200 while requests can be served, also degraded (Redis or the workers are away); 503 without MongoDB.
        """
        found = monitoring.health()
        return json_response(found, 503 if found["status"] == "unhealthy" else 200)


@blp.route("/health/live")
class Live(MethodView):
    @blp.public(limit="none")
    @blp.response(200, schemas.ProbeSchema)
    def get(self) -> dict[str, str]:
        """Tell that the process answers"""
        return {"status": "ok"}


@blp.route("/health/ready")
class Ready(MethodView):
    @blp.public(limit="none")
    @blp.response(200, schemas.ProbeSchema)
    @blp.alt_response(503, schema=schemas.ProbeSchema, description="Not now.")
    def get(self) -> Response:
        """Tell whether requests should be sent here"""
        ready = monitoring.is_ready()
        return json_response({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)


@pages.get("/openapi.json")
def openapi_document() -> Response:
    return Response(_written(openapi.spec()), content_type="application/json")


@lru_cache(1)
def _written(spec: APISpec) -> bytes:
    """The document, which takes 20 ms to write and stays the same."""
    return orjson.dumps(spec.to_dict(), option=orjson.OPT_NON_STR_KEYS)


@pages.get("/docs", strict_slashes=True)  # its links are relative
def docs() -> Response:
    response = Response(render_template("docs.html"))
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


@pages.get("/docs/<path:name>")
def docs_file(name: str) -> Response:
    return static_file(_STATIC, name, max_age=86_400)

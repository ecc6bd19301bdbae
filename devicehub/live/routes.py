"""The live page: one's fleet as it is now, in a browser, from nothing but what every client of the API may use."""

from pathlib import Path

from flask import Blueprint as FlaskBlueprint
from flask import Response

from devicehub.web.responses import PAGE_POLICY, static_file

pages = FlaskBlueprint("live", __name__)

_STATIC = Path(__file__).parent / "static"


@pages.get("/live", strict_slashes=True)  # its links are relative
def page() -> Response:
    response = static_file(_STATIC, "live.html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


@pages.get("/live/<path:name>")
def page_file(name: str) -> Response:
    """Asked for again each time, answered 304: modules of two versions would not fit together."""
    return static_file(_STATIC, name)

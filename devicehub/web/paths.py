"""Ids in paths: `<id:device_id>`."""

from typing import Any

from flask import Flask
from werkzeug.routing import BaseConverter


class Id(BaseConverter):
    """Whatever stands where an id should: a malformed one is unknown, like any other that names nothing.

    But not a word that lies beside ids: what cannot be done to that is 405, and no id that is unknown.
    """

    regex = r"(?!(?:batch|heartbeats|retry)$)[^/]+"
    part_isolating = True  # it matches within one segment, which werkzeug cannot see


def init_app(app: Flask) -> None:
    """Let rules name ids."""
    app.url_map.converters["id"] = Id


def document(_: Any) -> dict[str, Any]:
    """An id in a path, in JSON Schema."""
    return {"type": "string", "pattern": "^[0-9a-fA-F]{24}$", "example": "65f0a1b2c3d4e5f6a7b8c9d2"}

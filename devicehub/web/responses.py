"""Answers that are built from plain data, without a schema in between."""

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON, written by orjson."""
    return Response(orjson.dumps(body), status=status, headers=headers, content_type="application/json")

"""Answers that are built from plain data, without a schema in between."""

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON, written by orjson; what is wrong within a list is named by numbers."""
    written = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    return Response(written, status=status, headers=headers, content_type="application/json")

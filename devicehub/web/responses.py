"""Answers without a schema in between: of plain data, and of files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from flask import Response, send_from_directory

# Of pages that run their own files and nothing else.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON, written by orjson; what is wrong within a list is named by numbers."""
    written = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    return Response(written, status=status, headers=headers, content_type="application/json")


def static_file(folder: Path, name: str, *, max_age: int | None = None) -> Response:
    """A file of `folder` and of nowhere else; without `max_age` a browser asks each time whether it changed."""
    response = send_from_directory(folder, name, max_age=max_age)
    if response.status_code == 304:
        response.close()  # Werkzeug sends no body then, and so does not close the file
    return response

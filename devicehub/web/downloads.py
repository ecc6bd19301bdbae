"""Files over HTTP: as an attachment, in parts if asked for (RFC 9110 section 14), with proof that it is whole."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from flask import Response, request
from werkzeug.datastructures import Range
from werkzeug.http import dump_options_header

from devicehub.core.errors import DeviceHubError

HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}, "description": "Strong: the SHA-256 of the file."},
    "Repr-Digest": {"schema": {"type": "string"}, "description": "The SHA-256 of the whole file (RFC 9530)."},
    "Content-Disposition": {"schema": {"type": "string"}, "description": "`attachment`, and the file's name."},
}
PART_HEADERS = HEADERS | {
    "Content-Range": {"schema": {"type": "string"}, "description": "Which bytes these are, and of how many."}
}
RANGE = {
    "in": "header",
    "name": "Range",
    "schema": {"type": "string"},
    "description": "One part of the file, such as `bytes=1000-`; of several the whole is sent.",
}
IF_RANGE = {
    "in": "header",
    "name": "If-Range",
    "schema": {"type": "string"},
    "description": "The `ETag` of what you have a part of: of another file the whole is sent.",
}
_PRIVATE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


class RangeNotSatisfiable(DeviceHubError):
    status: ClassVar[int] = 416
    code = "RANGE_NOT_SATISFIABLE"
    title = "Range not satisfiable"
    detail = "The file has {size} bytes; there are none where the range is."


@dataclass(frozen=True, slots=True)
class File:
    """A file that is known: its size in bytes, their SHA-256 in hex, and how to read from a byte to another."""

    name: str
    media_type: str
    size: int
    sha256: str
    read: Callable[[int, int], Iterator[bytes]]


def respond(file: File) -> Response:
    """A file, or the part of it that is asked for; raises RangeNotSatisfiable."""
    size, tag = file.size, file.sha256
    start, end, status = (0, 0, 304) if request.if_none_match.contains(tag) else _range(tag, size)
    parts = iter(()) if request.method == "HEAD" or status == 304 else file.read(start, end)
    response = _attachment(file.name, file.media_type, parts, status)
    response.set_etag(tag)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(tag)).decode()}:"
    if status != 304:
        response.content_length = end - start
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return response


def _range(tag: str, size: int) -> tuple[int, int, int]:
    """From where until just before where, and the status that says so."""
    asked = request.range
    if_range = request.if_range
    is_of_this = if_range.etag == tag if if_range.etag else if_range.date is None
    if (
        request.method != "GET"
        or asked is None
        or asked.units != "bytes"
        or len(asked.ranges) != 1
        or not is_of_this
    ):
        return 0, size, 200
    [(first, _)] = asked.ranges
    if first < 0:  # a file shorter than what is asked for of its end is it all: RFC 9110 section 14.1.2
        asked = Range("bytes", [(max(first, -size), None)])
    found = asked.range_for_length(size)
    if found is None:
        raise RangeNotSatisfiable(size=size, headers={"Content-Range": f"bytes */{size}"})
    return *found, 206


def is_from_the_start(response: Response) -> bool:
    """Whether this is a download, and not one that goes on."""
    begins = response.headers.get("Content-Range", "bytes 0-").startswith("bytes 0-")
    return response.status_code in (200, 206) and begins


def stream(name: str, media_type: str, parts: Iterator[bytes]) -> Response:
    """A file whose size is not known before it is sent."""
    return _attachment(name, media_type, parts, 200)


def _attachment(name: str, media_type: str, parts: Iterator[bytes], status: int) -> Response:
    response = Response(parts, status=status, content_type=media_type, headers=_PRIVATE)
    response.headers["Content-Disposition"] = dump_options_header("attachment", {"filename": name})
    return response

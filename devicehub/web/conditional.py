"""Conditional requests and cache honesty: ETag, If-None-Match, If-Modified-Since, If-Match, X-Cache, Age."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Response, request

from devicehub.core import crypto
from devicehub.core.cache import Cached
from devicehub.core.errors import PreconditionFailed
from devicehub.web import openapi

_HEADERS = {
    "ETag": {"schema": {"type": "string"}, "description": "Strong; send it back in `If-None-Match`."},
    "X-Cache": {"schema": {"type": "string", "enum": ["HIT", "MISS", "BYPASS"]}},
    "Age": {"schema": {"type": "integer"}, "description": "Seconds since the answer was computed."},
}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "The `ETag` of what you have; 304 if it is current.",
}
_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "schema": {"type": "string"},
    "description": "The `ETag` you saw; 412 if the configuration has changed since (live fields do not count).",
}

View = Callable[..., Any]


def wants_fresh() -> bool:
    """Whether the client asked to go past the cache (`Cache-Control: no-cache`)."""
    return request.cache_control.no_cache is not None and request.cache_control.no_cache is not False


def answer(
    found: Cached, *, tag: str | None = None, modified_at: datetime | None = None, is_dated: bool = True
) -> Response:
    """`found` as a response: 304 when the client has it already (RFC 9110 section 13; the ETag wins).

    What may change twice in the second that `modified_at` tells is not dated: If-Modified-Since is not looked at.
    Raises PreconditionFailed when it is none of those that If-Match names.
    """
    tag = tag or crypto.digest(found.payload)
    if request.if_match and tag not in request.if_match:
        raise PreconditionFailed()
    response = Response(found.payload, content_type="application/json")
    response.set_etag(tag)
    if modified_at is not None:
        response.last_modified = modified_at
    response.headers["X-Cache"] = found.status
    response.headers["Age"] = str(found.age)
    response.headers["Vary"] = "Authorization, X-API-Key"
    ignored = {"HTTP_IF_MATCH": ""}  # werkzeug takes no `*`
    if not is_dated:
        ignored["HTTP_IF_MODIFIED_SINCE"] = ""
    response.make_conditional(request.environ | ignored)
    return response


def changed(payload: bytes, revision: int) -> Response:
    """A thing as a change has left it, with the ETag that the next change may name."""
    response = Response(payload, content_type="application/json")
    response.set_etag(etag(revision, payload))
    return response


def etag(revision: int, payload: bytes) -> str:
    """The ETag of a thing that has revisions: `<revision>.<hash of all that is shown>`."""
    return f"{revision}.{crypto.digest(payload, 8)}"


def expected_revision() -> int | None:
    """The revision that If-Match names, None without one; an ETag of ours is `"<revision>.<live hash>"`.

    Raises PreconditionFailed when no ETag in it could ever be ours.
    """
    tags = request.if_match
    if not tags or tags.star_tag:
        return None
    revisions = [tag.partition(".")[0] for tag in tags.as_set() if tag]  # werkzeug reads `""` as None
    known = [int(revision) for revision in revisions if revision.isdecimal() and len(revision) < 19]
    if len(known) != 1:
        raise PreconditionFailed()
    return known[0]


def documented(view: View) -> View:
    """Document the headers, the 304 and the 412 of a conditional GET."""
    responses = view._apidoc["response"]["responses"]  # type: ignore[attr-defined]
    for response in responses[200]:
        response["headers"] = _HEADERS
    unchanged = {
        "description": "Not Modified: what you have is current.",
        "headers": _HEADERS,
        "content_type": None,
    }
    responses[304] = [unchanged]
    noted: View = openapi.note(view, errors=[PreconditionFailed], parameters=[_IF_NONE_MATCH])
    return noted


def matched(view: View) -> View:
    """Document the If-Match of a change, how it is refused, and the ETag of what it has made."""
    for response in view._apidoc["response"]["responses"].get(200, ()):  # type: ignore[attr-defined]
        response["headers"] = {"ETag": _HEADERS["ETag"]}
    noted: View = openapi.note(view, errors=[PreconditionFailed], parameters=[_IF_MATCH])
    return noted

"""Conditional requests and cache honesty: ETag, If-None-Match, If-Modified-Since, If-Match, X-Cache, Age."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
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


def wants_fresh() -> bool:
    """Whether the client asked to go past the cache (`Cache-Control: no-cache`)."""
    return request.cache_control.no_cache is not None and request.cache_control.no_cache is not False


def answer(found: Cached, *, tag: str | None = None, modified_at: datetime | None = None) -> Response:
    """`found` as a response: 304 when the client has it already (RFC 9110 section 13; the ETag wins)."""
    response = Response(found.payload, content_type="application/json")
    response.set_etag(tag or crypto.digest(found.payload))
    if modified_at is not None:
        response.last_modified = modified_at
    response.headers["X-Cache"] = found.status
    response.headers["Age"] = str(found.age)
    response.headers["Vary"] = "Authorization"
    response.make_conditional(request.environ)
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
    revisions = [tag.partition(".")[0] for tag in tags.as_set(include_weak=False)]
    known = [int(revision) for revision in revisions if revision.isdecimal() and len(revision) < 19]
    if len(known) != 1:
        raise PreconditionFailed()
    return known[0]


def documented(view: Callable[..., Any]) -> Callable[..., Any]:
    """Document the headers and the 304 of a conditional GET."""

    @wraps(view)
    def same(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    doc = getattr(view, "_apidoc", {})
    for responses in doc.get("response", {}).get("responses", {}).get(200, []):
        responses["headers"] = _HEADERS
    extra = {"responses": {"304": {"description": "Not Modified: what you have is current.", "headers": _HEADERS}}}
    manual = {**doc.get("manual_doc", {}), **extra}
    same._apidoc = {**doc, "manual_doc": manual}  # type: ignore[attr-defined]
    return openapi.note(same)

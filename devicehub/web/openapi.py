"""The OpenAPI document: what a guard, a body and a view's own errors imply, written down for every operation."""

from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from flask import Flask

from devicehub import __version__
from devicehub.auth.errors import InvalidToken, TokenExpired, TokenRevoked, TokenStale
from devicehub.core.errors import (
    DatabaseUnavailable,
    DeviceHubError,
    Forbidden,
    InsufficientRole,
    InvalidInput,
    MalformedRequest,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from devicehub.extensions import api
from devicehub.web.errors import TYPES, slug
from devicehub.web.guards import Guard
from devicehub.web.limits import RateLimitExceeded
from devicehub.web.schemas import ProblemSchema

Errors = Iterable[type[DeviceHubError]]

_OF_A_BODY: Errors = (MalformedRequest, PayloadTooLarge, UnsupportedMediaType, InvalidInput)
_OF_AN_IDENTITY: Errors = (Unauthenticated, InvalidToken, TokenExpired, TokenRevoked, TokenStale)

_DESCRIPTION = """\
Sign in, register devices, see which are alive now.

Errors are RFC 9457 problems. Keys are camelCase; requests may also spell them in snake_case.
`/api/v1/...` is the same API under its version.
"""


def init_app(app: Flask) -> None:
    """Bind flask-smorest; the document is at `/openapi.json` (its page is `monitoring`'s)."""
    app.config |= {
        "API_TITLE": "DeviceHub",
        "API_VERSION": __version__,
        "OPENAPI_VERSION": "3.1.0",
        "API_SPEC_OPTIONS": {
            "info": {"description": _DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}},
            "servers": [{"url": "/"}],
            "security": [],
        },
    }
    api.DEFAULT_ERROR_RESPONSE_NAME = None
    api.init_app(app)
    components = api.spec.components
    components.security_scheme("accessToken", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    components.schema("Problem", schema=ProblemSchema)


def note(view: Any, *, guard: Guard | None = None, errors: Errors = ()) -> Any:
    """Keep on `view` what the document will say of it."""
    doc = dict(getattr(view, "_apidoc", {}))
    doc["failures"] = (*doc.get("failures", ()), *errors)
    if guard is not None:
        doc["guard"] = view.guard = guard
    view._apidoc = doc
    return view


def document_failures(doc: dict[str, Any], doc_info: dict[str, Any], *, spec: APISpec, **_: Any) -> dict[str, Any]:
    """Add security and every failure to one operation; called by flask-smorest for each."""
    guard: Guard | None = doc_info.get("guard")
    responses = doc.setdefault("responses", {})
    responses.pop(422, None)  # flask-smorest's own wording
    by_status: dict[int, list[type[DeviceHubError]]] = defaultdict(list)
    for error in dict.fromkeys((*_implied(doc, guard), *doc_info.get("failures", ()))):
        by_status[error.status].append(error)
    for status, errors in sorted(by_status.items()):
        responses[str(status)] = _response(spec, status, errors)
    if guard is not None and guard.role is not None:
        doc["security"] = [{"accessToken": []}]
    return doc


def _implied(doc: dict[str, Any], guard: Guard | None) -> Errors:
    if "requestBody" in doc:
        yield from _OF_A_BODY
    elif guard is not None and guard.limit != "none":  # its query may hold what it does not take
        yield InvalidInput
    if guard is None:
        return
    if guard.role is not None:
        yield from _OF_AN_IDENTITY
        if guard.platform_admin:
            yield Forbidden
        elif guard.role != "viewer":
            yield InsufficientRole
    if guard.limit != "none":
        yield RateLimitExceeded.of(guard.limit)
        yield DatabaseUnavailable
    yield DeviceHubError


def _response(spec: APISpec, status: int, errors: list[type[DeviceHubError]]) -> dict[str, Any]:
    for error in errors:
        if error.code not in spec.components.examples:
            spec.components.example(error.code, {"summary": error.title, "value": _example(error)})
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(error.code for error in errors)}",
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {e.code: {"$ref": f"#/components/examples/{e.code}"} for e in errors},
            }
        },
    }


def _example(error: type[DeviceHubError]) -> dict[str, Any]:
    facts: dict[str, str] = defaultdict(lambda: "...")
    problem = {
        "type": TYPES + slug(error.code),
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail.format_map(facts),
        "instance": "/api/...",
        "requestId": "3f0c9a7be1d24c55",
    }
    return problem | ({"errors": {"name": ["Shorter than minimum length 2."]}} if error is InvalidInput else {})

"""The OpenAPI document: what a guard, a body and a view's own errors imply, written down for every operation."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow.fields import Field

from devicehub import __version__
from devicehub.auth.errors import InvalidToken, TokenExpired, TokenRevoked, TokenStale
from devicehub.core.errors import (
    DatabaseUnavailable,
    DeviceHubError,
    Forbidden,
    InsufficientRole,
    InsufficientScope,
    InvalidInput,
    MalformedRequest,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from devicehub.extensions import api
from devicehub.organizations.errors import OrganizationNotFound
from devicehub.web import paths
from devicehub.web.cookies import COOKIE
from devicehub.web.errors import TYPES, slug
from devicehub.web.fields import JSON_VALUE
from devicehub.web.guards import Guard, KeyNotAccepted
from devicehub.web.limits import RateLimitExceeded
from devicehub.web.schemas import ProblemSchema

Errors = Iterable[type[DeviceHubError]]
Parameters = Iterable[dict[str, Any]]

_OF_A_BODY: Errors = (MalformedRequest, PayloadTooLarge, UnsupportedMediaType, InvalidInput)
_OF_AN_IDENTITY: Errors = (Unauthenticated, InvalidToken, TokenExpired, TokenRevoked, TokenStale)

Headers = dict[str, dict[str, Any]]

_ON_EVERYTHING: Headers = {
    "X-Request-ID": {
        "description": "Yours if you sent one, else made here; it is in the log too.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "X-Response-Time": {
        "description": "How long it took.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+\\.[0-9]ms$"},
    },
}
_ON_WHAT_IS_LIMITED: Headers = {
    "X-RateLimit-Limit": {"description": "Requests a window.", "schema": {"type": "integer"}},
    "X-RateLimit-Remaining": {"description": "How many are left of it.", "schema": {"type": "integer"}},
    "X-RateLimit-Reset": {"description": "When it ends, in epoch seconds.", "schema": {"type": "integer"}},
}
_ON_WHAT_PASSES: Headers = {
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
}
_PASSES = (423, 429, 503)
_ON_WHOM_IT_KNOWS_NOT: Headers = {
    "WWW-Authenticate": {
        "description": "How to sign in; with `error` if what was sent is not, or no more, good.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer"},
    },
}

_API_KEY = {
    "description": "An integration's key, `dhk_<id>_<secret>`, with the scope named here; or the same as Bearer."
}
_DEVICE_KEY = {
    "description": "A device's own key, for that device.",
    "bearerFormat": "dhd_<id>_<secret>",
}

_DESCRIPTION = """\
Sign in, register devices, see which are alive now.

Errors are RFC 9457 problems. Keys are camelCase; requests may also spell them in snake_case.
`/api/v1/...` is the same API under its version.
"""


_untold: list[Callable[[], None]] = []
_telling = threading.Lock()


class _Converter(OpenAPIConverter):
    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().schema2jsonschema(schema)
        return found | dict(getattr(schema, "keywords", {}))


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


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
    _untold.clear()
    api.DEFAULT_ERROR_RESPONSE_NAME = None
    api.init_app(app, spec_kwargs={"marshmallow_plugin": _Plugin()})
    api.flask_plugin.register_converter(paths.Id, paths.document)
    api.ma_plugin.converter.add_attribute_function(_further_keywords)
    components = api.spec.components
    components.schemas.clear()  # flask-smorest's own errors and pages, which nobody here speaks of
    components.security_scheme("accessToken", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    components.security_scheme("refreshCookie", {"type": "apiKey", "in": "cookie", "name": COOKIE})
    components.security_scheme("apiKey", {"type": "apiKey", "in": "header", "name": "X-API-Key"} | _API_KEY)
    components.security_scheme("deviceKey", {"type": "http", "scheme": "bearer"} | _DEVICE_KEY)
    for name in ("token", "ticket"):
        components.security_scheme(f"{name}InQuery", {"type": "apiKey", "in": "query", "name": name})
    components.schema("Problem", schema=ProblemSchema)
    components.schema("JsonValue", JSON_VALUE)
    for name, header in (_ON_EVERYTHING | _ON_WHAT_IS_LIMITED | _ON_WHAT_PASSES | _ON_WHOM_IT_KNOWS_NOT).items():
        components.header(name, header)


def tell_later(tell: Callable[[], None]) -> None:
    """Keep what adds operations to the document until somebody wants to read it."""
    _untold.append(tell)


def spec() -> APISpec:
    """The whole document, put together when it is first read: 0.2 s and 5 MB that most processes never need."""
    with _telling:
        while _untold:
            _untold[0]()
            del _untold[0]
    return api.spec


def _further_keywords(_: Any, field: Field[Any], **__: Any) -> dict[str, Any]:
    """What a field says of itself in JSON Schema beyond the keywords that apispec knows."""
    further: dict[str, Any] = field.metadata.get("schema", {})
    return further


def _references(headers: Headers) -> Headers:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def note(
    view: Any,
    *,
    guard: Guard | None = None,
    errors: Errors = (),
    parameters: Parameters = (),
    body: Mapping[str, Any] | None = None,
) -> Any:
    """Keep on `view` what the document will say of it; `body` is one that no schema loads."""
    doc = dict(getattr(view, "_apidoc", {}))
    doc["failures"] = (*doc.get("failures", ()), *errors)
    doc["takes"] = (*doc.get("takes", ()), *parameters)
    if body is not None:
        doc["body"] = body
    if guard is not None:
        doc["guard"] = view.guard = guard
        doc["name"] = view.__qualname__
    view._apidoc = doc
    return view


def document(doc: dict[str, Any], doc_info: dict[str, Any], *, spec: APISpec, **_: Any) -> dict[str, Any]:
    """Add to one operation all that its guard and its notes imply; called by flask-smorest for each."""
    guard: Guard = doc_info["guard"]
    view, _, method = doc_info["name"].partition(".")
    doc["operationId"] = method + view
    if "body" in doc_info:
        doc["requestBody"] = doc_info["body"]
    doc["parameters"] = [*doc.get("parameters", ()), *doc_info["takes"]]
    responses = doc["responses"] | _failures(doc, doc_info, spec)
    doc["responses"] = {str(status): responses[status] for status in sorted(responses)}
    always = _ON_EVERYTHING if guard.limit == "none" else _ON_EVERYTHING | _ON_WHAT_IS_LIMITED
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | _references(always)
    if guard.role is not None:
        doc["security"] = list(_security(guard))
    return doc


def _security(guard: Guard) -> Iterator[dict[str, list[str]]]:
    """Who is let in with what; an API key's scope stands where OpenAPI 3.1 has a place for it."""
    yield {"accessToken": []}
    if guard.scope is not None:
        yield {"apiKey": [guard.scope]}
    if guard.devices:
        yield {"deviceKey": []}
    if guard.token_in_query:
        yield {"ticketInQuery": []}
        yield {"tokenInQuery": []}


def _failures(doc: dict[str, Any], doc_info: dict[str, Any], spec: APISpec) -> dict[int, Any]:
    by_status: dict[int, list[type[DeviceHubError]]] = defaultdict(list)
    for error in dict.fromkeys((*_implied(doc, doc_info["guard"]), *doc_info["failures"])):
        by_status[error.status].append(error)
    return {status: _response(spec, status, errors) for status, errors in by_status.items()}


def _implied(doc: dict[str, Any], guard: Guard) -> Errors:
    if "requestBody" in doc:
        yield from _OF_A_BODY
    elif guard.limit != "none":  # its query may hold what it does not take
        yield InvalidInput
    if guard.role is not None:
        yield from _OF_AN_IDENTITY
        if not (guard.scope and guard.devices):
            yield KeyNotAccepted
        if guard.scope is not None:
            yield InsufficientScope
        if guard.platform_admin:
            yield Forbidden
        elif guard.role != "viewer":
            yield InsufficientRole
        if guard.in_path:
            yield OrganizationNotFound
    if guard.limit != "none":
        yield RateLimitExceeded.of(guard.limit)
        yield DatabaseUnavailable
    yield DeviceHubError


def _response(spec: APISpec, status: int, errors: list[type[DeviceHubError]]) -> dict[str, Any]:
    codes = {error.code: error for error in errors}
    for code, error in codes.items():
        if code not in spec.components.examples:
            spec.components.example(code, {"summary": error.title, "value": _example(error)})
    further = _ON_WHAT_PASSES if status in _PASSES else _ON_WHOM_IT_KNOWS_NOT if status == 401 else {}
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
        "headers": _references(further),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
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
    return problem | ({"errors": {"name": ["Length must be between 2 and 100."]}} if error is InvalidInput else {})

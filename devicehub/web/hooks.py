"""What happens around every request: an id, a time, a log line, and the headers every answer carries."""

import logging
import re
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask_cors import CORS
from flask_cors.core import DEFAULT_OPTIONS, get_cors_headers, serialize_options
from werkzeug.datastructures import Headers
from werkzeug.middleware.proxy_fix import ProxyFix

from devicehub.core import config, crypto, migrations, turnstile
from devicehub.core.actor import Actor
from devicehub.core.errors import DatabaseUnavailable, NotFound, UnsupportedMediaType
from devicehub.web.guards import guard_of_request
from devicehub.web.identity import known_actor

log = structlog.get_logger("devicehub.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_EXPOSED = ["ETag", "Location", "Retry-After", "X-Cache", "Age", "X-Request-ID", "X-Response-Time",
            "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Idempotent-Replayed"]  # fmt: skip

# Where a request's environment holds the error that it failed with before it came to Flask.
REFUSAL = "devicehub.refusal"

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def init_app(app: Flask) -> None:
    """Bind the hooks; before identity and the limiter, so that their answers carry the headers too."""
    settings = config.current()
    app.config["MAX_CONTENT_LENGTH"] = settings.max_request_size
    # An address is right or unknown.
    app.url_map.strict_slashes = app.url_map.merge_slashes = app.url_map.redirect_defaults = False
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_leave)
    if settings.allowed_origins:
        CORS(app, resources={r"/api/.*": _shared_with(settings.allowed_origins)})


def _shared_with(origins: tuple[str, ...]) -> dict[str, Any]:
    return {
        "origins": list(origins),
        "supports_credentials": "*" not in origins,
        "expose_headers": _EXPOSED,
        "max_age": 600,
    }


@cache
def headers_for_no_page(origins: tuple[str, ...]) -> list[tuple[str, str]]:
    """What the API adds for pages of these other origins, where no page asks."""
    if not origins:
        return []
    options = serialize_options({**DEFAULT_OPTIONS, **_shared_with(origins)})
    added = get_cors_headers(options, Headers(), "POST")
    return [(name, str(value)) for name, value in added.items(multi=True) if name != "Vary"] + [("Vary", "Origin")]


def in_front(inner: WSGI) -> WSGI:
    """What comes before everything else, Socket.IO included: whom the proxies speak for, and the version."""
    hops = config.current().trusted_proxies
    routed = _without_version(inner)
    return ProxyFix(routed, x_for=hops, x_proto=hops, x_host=hops) if hops else routed


def _without_version(inner: WSGI) -> WSGI:
    """`/api/v1/...` is `/api/...`: one rule in front of the router."""

    def routed(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/api/v1/"):
            environ["PATH_INFO"] = "/api/" + path[len("/api/v1/") :]
        return inner(environ, start_response)

    return routed


def _begin() -> None:
    g.started = time.perf_counter()
    g.request_id = request_id(request.headers.get("X-Request-ID", ""))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id, ip=request.remote_addr)
    if (refusal := request.environ.get(REFUSAL)) is not None:
        raise refusal
    if not request.path.startswith("/health"):  # whoever asks whether we live is not to wait
        turnstile.current().enter()
    if not _is_ours(request.blueprint):
        raise NotFound()
    if request.path.startswith("/api/") and not migrations.done.is_set():
        raise DatabaseUnavailable()
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType(reason="Send the body as it is, without Content-Encoding.")


def request_id(sent: str) -> str:
    """The id of a request that was sent with this one, if it is sound."""
    return sent if _REQUEST_ID.fullmatch(sent) else crypto.random_token(12)


def _leave(_: BaseException | None) -> None:
    """The answer is made: what of it still flows takes no place."""
    turnstile.current().leave()
    structlog.contextvars.clear_contextvars()


def _is_ours(blueprint: str | None) -> bool:
    """Whether this process's role is to answer for `blueprint`; every role documents all of them."""
    role = config.current().devicehub_role
    if role == "realtime":
        return blueprint in ("realtime", "monitoring")
    return role == "all" or blueprint != "realtime"


def _end(response: Response) -> Response:
    elapsed_ms = (time.perf_counter() - g.started) * 1000
    response.headers.update(own_headers(g.request_id, elapsed_ms))
    is_api = request.path.startswith("/api/")
    for name, value in standing_headers(is_api=is_api, is_secure=request.is_secure).items():
        response.headers.setdefault(name, value)
    if is_api and config.current().allowed_origins:
        response.vary.add("Origin")  # Flask-CORS leaves it out when there is but one
    _log(response, elapsed_ms)
    return response


def own_headers(request_id: str, elapsed_ms: float) -> dict[str, str]:
    """What of an answer's headers is of this request alone."""
    return {"X-Request-ID": request_id, "X-Response-Time": f"{elapsed_ms:.1f}ms"}


def standing_headers(*, is_api: bool, is_secure: bool) -> dict[str, str]:
    """What answers carry that say nothing else of it."""
    api = {"Cache-Control": "private, no-cache"} if is_api else {}
    secure = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"} if is_secure else {}
    return _HEADERS | api | secure


def _log(response: Response, elapsed_ms: float) -> None:
    facts = {
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "path": request.path,
        "query": sorted(set(request.args)) or None,
        "status": response.status_code,
        "error": g.get("error_code"),
        "ip": request.remote_addr,
    }
    guard = guard_of_request()
    note(facts, elapsed_ms, known_actor(), is_probe=guard is not None and guard.limit == "none")


def note(facts: dict[str, Any], elapsed_ms: float, actor: Actor | None, *, is_probe: bool = False) -> None:
    """Write the line of a request that was answered."""
    slow = elapsed_ms > config.current().slow_request_ms
    level = logging.WARNING if slow else logging.DEBUG if is_probe else logging.INFO
    if not log.is_enabled_for(level):
        return
    facts = facts | {
        "duration_ms": round(elapsed_ms, 1),
        "user_id": actor.user_id if actor and actor.kind != "device" else None,
        "device_id": actor.device_id if actor else None,
        "credential_id": actor.key_id if actor else None,
        "organization_id": actor.organization_id if actor else None,
    }
    told = {name: value for name, value in facts.items() if value is not None}
    log.log(level, "request.slow" if slow else "request", **told)

"""Rate limits: one class a route, one window a caller, shared by all processes through Redis.

While Redis is away the same limits are kept in this process's memory: never unlimited, never an error. Flask-
Limiter's own fallback stays off: it took 27.8 s to return after an outage, and cannot differ by class.
"""

import time
from functools import partial
from typing import Any, NoReturn

import orjson
import structlog
from flask import Flask, Response, g, request
from flask_limiter import ApplicationLimit, Limiter, RequestLimit

from devicehub.core import config
from devicehub.core.errors import DeviceHubError
from devicehub.web import windows
from devicehub.web.cookies import COOKIE
from devicehub.web.guards import LimitClass, guard_of_request
from devicehub.web.identity import known_actor

log = structlog.get_logger("devicehub.security")


class RateLimitExceeded(DeviceHubError):
    status = 429
    code = "RATE_LIMIT_EXCEEDED"
    title = "Rate limit exceeded"
    detail = "Too many requests; `Retry-After` says when to come back."

    @staticmethod
    def of(limit: LimitClass) -> type["RateLimitExceeded"]:
        """The error of one class of limit."""
        return _OF_CLASS.get(limit, RateLimitExceeded)


class AuthRateLimitExceeded(RateLimitExceeded):
    code = "AUTH_RATE_LIMIT_EXCEEDED"


class DeviceRateLimitExceeded(RateLimitExceeded):
    code = "DEVICE_RATE_LIMIT_EXCEEDED"


class AnalyticsRateLimitExceeded(RateLimitExceeded):
    code = "ANALYTICS_RATE_LIMIT_EXCEEDED"


class ExportRateLimitExceeded(RateLimitExceeded):
    code = "EXPORT_RATE_LIMIT_EXCEEDED"


_OF_CLASS: dict[LimitClass, type[RateLimitExceeded]] = {
    "auth": AuthRateLimitExceeded,
    "device": DeviceRateLimitExceeded,
    "analytics": AnalyticsRateLimitExceeded,
    "export": ExportRateLimitExceeded,
}


def init_app(app: Flask) -> None:
    """Bind Flask-Limiter: one limit on everything, whose class, window and key follow from the view's guard."""
    limiter = Limiter(
        _key,
        app=app,
        storage_uri="devicehub://",
        strategy="moving-window",
        application_limits=[
            ApplicationLimit(_window, key_function=_key, exempt_when=_is_exempt),
            ApplicationLimit(
                lambda: config.current().general_rate_limit,
                key_function=_caller,
                exempt_when=lambda: _class() not in {"refresh", "ingest"},
                deduct_when=_was_refused,
            ),
        ],
        on_breach=_refuse,
    )
    app.extensions["devicehub.limiter"] = limiter
    app.after_request(partial(_tell, limiter))


def _class() -> LimitClass:
    """The class of the route; pages count like everything else, asking what is allowed does not."""
    guard = guard_of_request()
    if guard is not None:
        return guard.limit
    return "none" if request.method == "OPTIONS" else "general"


def _is_exempt() -> bool:
    return _class() == "none" or windows.COUNTED in request.environ


def _window() -> str:
    """The window of the route's class; asked even where no limit applies."""
    limit = "general" if _class() == "none" else _class()
    text: str = getattr(config.current(), f"{limit}_rate_limit")
    return text


def _caller() -> str:
    actor = known_actor()
    return actor.user_id if actor is not None else f"ip:{request.remote_addr}"


def _key() -> str:
    limit = _class()
    if limit == "auth":
        return f"auth|{request.remote_addr}"
    if limit == "refresh":
        return f"refresh|{_session_named()}"
    actor = known_actor()
    if limit == "ingest" and actor is not None and actor.kind == "device":
        return windows.key_of_device(actor)
    if limit == "ingest":
        return f"ingest|{_caller()}|{(request.view_args or {}).get('device_id', '').lower()}"
    return f"{limit}|{_caller()}"


def _session_named() -> str:
    """The session a refresh token names; made-up names are held back by the second limit, on refusals."""
    try:
        return str(_token_in_body() or request.cookies.get(COOKIE)).split(".")[1][:64]
    except IndexError:
        return f"ip:{request.remote_addr}"


def _token_in_body() -> Any:
    try:
        body = orjson.loads(request.get_data(cache=True))
        return body.get("refreshToken") or body.get("refresh_token")
    except (orjson.JSONDecodeError, AttributeError):
        return None


def _was_refused(response: Response) -> bool:
    return response.status_code >= 400


def _tell(limiter: Limiter, response: Response) -> Response:
    """Say what is left of the window, and to whom it refused when to come back.

    Flask-Limiter's own headers would put a `Retry-After` on every answer, also over that of a 503.
    """
    limit, counted = limiter.current_limit, request.environ.get(windows.COUNTED)
    if counted is not None and not (limit and limit.breached):
        response.headers.update(counted.headers)
    elif limit is not None:
        response.headers.update(windows.Window(limit.limit.amount, limit.remaining, limit.reset_at).headers)
        if limit.breached:
            response.headers["Retry-After"] = str(max(1, limit.reset_at - int(time.time())))
    return response


def _refuse(limit: RequestLimit) -> NoReturn:
    log.warning(
        "security.rate_limited",
        limit_class=_class(),
        limit=str(limit.limit),
        route=request.url_rule.rule if request.url_rule else None,
        ip=request.remote_addr,
        request_id=g.get("request_id"),
    )
    raise RateLimitExceeded.of(_class())()

"""Every failure becomes an RFC 9457 problem here, and nowhere else."""

import re
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Flask, Response, g, has_request_context, request
from gunicorn.http.errors import ParseException
from pymongo.errors import ConnectionFailure, PyMongoError
from werkzeug.exceptions import HTTPException, InternalServerError, RequestEntityTooLarge

from devicehub.core import metrics, mongo, turnstile
from devicehub.core.errors import (
    DatabaseUnavailable,
    DeviceHubError,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from devicehub.core.redis import RedisAway

log = structlog.get_logger(__name__)

TYPES = "https://devicehub.dev/errors/"
_CODES = {
    400: "MALFORMED_REQUEST",
    401: "AUTHENTICATION_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMIT_EXCEEDED",
    503: "SERVICE_UNAVAILABLE",
    504: "UPSTREAM_TIMEOUT",
}


def slug(code: str) -> str:
    """`DEVICE_NOT_FOUND` as the last part of a problem's `type`."""
    return code.lower().replace("_", "-")


def problem(status: int, code: str, title: str, detail: str, errors: Any = None) -> dict[str, Any]:
    """The problem object; `instance` and `requestId` come from the request that is being answered."""
    body = {
        "type": TYPES + slug(code),
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": request.path if has_request_context() else "",
        "requestId": g.get("request_id", "") if has_request_context() else "",
    }
    return body | ({"errors": errors} if errors else {})


def named(error: BaseException) -> DeviceHubError:
    """The error of ours that `error` amounts to; a stranger is logged with its trace and becomes a plain 500."""
    if isinstance(error, DeviceHubError):
        return error
    if mongo.is_outage(error):
        metrics.count_degraded("mongodb")
        log.warning("mongodb.away", error=type(error).__name__)
        away = DatabaseUnavailable()
        if isinstance(error, ConnectionFailure):  # not merely one question that took too long
            turnstile.current().refuse(away)
        return away
    if isinstance(error, RedisAway):
        return Unavailable()
    if isinstance(error, ParseException):
        return MalformedRequest(reason="The chunks of the body are not what HTTP makes them.")
    log.error("request.failed", exc_info=error)
    return DeviceHubError()


def problem_of(error: DeviceHubError) -> dict[str, Any]:
    """The problem object of one of our errors."""
    return problem(error.status, error.code, error.title, str(error), error.errors) | error.extensions


def render(error: DeviceHubError) -> Response:
    """One of our errors as a response."""
    g.error_code = error.code
    headers = error.headers
    if error.status == 401:  # RFC 9110 section 11.6.1, and RFC 6750 section 3.1 where a token was sent
        is_of_token = error.code in ("INVALID_TOKEN", "TOKEN_EXPIRED", "TOKEN_REVOKED", "TOKEN_STALE")
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"' if is_of_token else "Bearer"} | headers
    return _response(problem_of(error), headers)


def _response(body: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(
        orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS),
        status=body["status"],
        headers=headers,
        content_type="application/problem+json",
    )


def _on_ours(error: BaseException) -> Response:
    return render(named(error))


def _on_http(error: HTTPException) -> Any:
    """What Flask and werkzeug raise by themselves: unknown routes, wrong methods, bodies that are too large."""
    if error.response is not None and error.code is None:
        return error.response  # a redirect or an answer somebody made on purpose
    if isinstance(error, InternalServerError):
        return _on_ours(error.original_exception or error)
    if isinstance(error, RequestEntityTooLarge):
        return _on_ours(PayloadTooLarge(limit=request.max_content_length))
    status = error.code or 500
    if status == 404:
        return _on_ours(NotFound())
    code = g.error_code = _CODES.get(status, "MALFORMED_REQUEST" if status < 500 else "INTERNAL_ERROR")
    phrase = HTTPStatus(status).phrase.capitalize()
    headers = {name: value for name, value in error.get_headers() if not re.match("content-", name, re.I)}
    return _response(problem(status, code, phrase, HTTPStatus(status).description or phrase), headers)


def init_app(app: Flask) -> None:
    """Render every exception of every kind; flask-smorest's own handler is replaced."""
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(PyMongoError, _on_ours)
    app.register_error_handler(Exception, _on_ours)

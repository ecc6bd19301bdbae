"""A pair of tokens as an answer: both in the body, or the refresh token where no script of a page can read it.

That is for browsers, which ask for it with `X-Token-Transport: cookie`. What came by cookie goes by cookie.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request

from devicehub.auth import service as auth
from devicehub.auth.sessions import Grant
from devicehub.core import clock, config
from devicehub.core.errors import InvalidInput
from devicehub.web import cookies, identity, openapi

TRANSPORT = "X-Token-Transport"
SET_COOKIE = {
    "Set-Cookie": {
        "schema": {"type": "string", "example": f"{cookies.COOKIE}=dhr1...; HttpOnly; SameSite=Strict; Path=/api"},
        "description": "The refresh token, where it is not in the body.",
    }
}
_PARAMETER = {
    "in": "header",
    "name": TRANSPORT,
    "required": False,
    "schema": {"type": "string", "enum": ["cookie"]},
    "description": f"For browsers: the refresh token goes into the cookie `{cookies.COOKIE}`, not into the body.",
}


def place() -> dict[str, Any]:
    """Where this request comes from, as a session keeps it."""
    return {"ip": request.remote_addr, "user_agent": request.headers.get("User-Agent", "")[:300]}


def granted(view: Callable[..., Grant]) -> Callable[..., dict[str, Any]]:
    """Answer the tokens of the Grant that a view returns, the way the client wants to be given them."""

    @wraps(view)
    def answered(*args: Any, **kwargs: Any) -> dict[str, Any]:
        by_cookie = _is_by_cookie()
        body = _pair(view(*args, **kwargs))
        if by_cookie or cookies.came_by_cookie():
            cookies.put(body.pop("refresh_token"))
        return body

    documented: Callable[..., dict[str, Any]] = openapi.note(answered, parameters=(_PARAMETER,))
    return documented


def _is_by_cookie() -> bool:
    sent = request.headers.get(TRANSPORT)
    if sent not in (None, "cookie"):
        raise InvalidInput(errors={TRANSPORT: ["Must be cookie, or left out."]})
    return sent is not None


def _pair(grant: Grant) -> dict[str, Any]:
    settings = config.current()
    return {
        "access_token": identity.mint(grant),
        "refresh_token": grant.refresh_token,
        "device_token": grant.device_token,
        "token_type": "Bearer",
        "expires_in": settings.access_token_ttl,
        "refresh_expires_in": min(settings.refresh_token_ttl, int((grant.ends_at - clock.now()).total_seconds())),
        **auth.describe_grant(grant),
    }

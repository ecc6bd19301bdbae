"""Cookies, which no script reads: above all the refresh token of a browser, that only refresh and logout take.

They are taken from pages of our own origin or of ALLOWED_ORIGINS, which the browser names in `Origin`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Response, after_this_request, g, request

from devicehub.core import config
from devicehub.core.errors import Forbidden

COOKIE = "dh_refresh"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ForeignOrigin(Forbidden):
    detail = "A cookie is taken from pages of our own origin or of an allowed one only; `Origin` names neither."


def presented(body: Mapping[str, Any]) -> str | None:
    """The refresh token of this request: in its body, else in its cookie. Raises ForeignOrigin."""
    token: str | None = body.get("refresh_token")
    if token is None and COOKIE in request.cookies:
        refuse_foreign()
        g.came_by_cookie = True
        token = request.cookies[COOKIE]
    return token


def refuse_foreign() -> None:
    """Raise ForeignOrigin unless a page asks that is our own, or an allowed one."""
    own = f"{request.scheme}://{request.host}"
    if request.headers.get("Origin") not in (own, *config.current().allowed_origins):
        raise ForeignOrigin()


def came_by_cookie() -> bool:
    """Whether the refresh token that was `presented` was the cookie's."""
    return bool(g.get("came_by_cookie"))


def drop() -> None:
    """Let the browser forget the refresh token."""
    if COOKIE in request.cookies:
        put("", max_age=0)


def put(token: str, *, max_age: int | None = None) -> None:
    """Give the browser a refresh token to keep."""
    keep(COOKIE, token, path="/api", max_age=config.current().refresh_token_ttl if max_age is None else max_age)


def keep(name: str, value: str, *, path: str, max_age: int) -> None:
    """Give the browser a cookie to keep for `max_age` seconds; for 0 it forgets it."""
    settings = config.current()
    is_at_home = settings.is_development and urlsplit(f"//{request.host}").hostname in _LOOPBACK

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=path,
            secure=not is_at_home,
            httponly=True,
            samesite="Strict",
        )
        return response

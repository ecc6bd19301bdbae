"""The refresh token of a browser: in a cookie that no script reads, and that only refresh and logout take.

They take it from pages of our own origin or of ALLOWED_ORIGINS, which the browser names in `Origin`.
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
        own = f"{request.scheme}://{request.host}"
        if request.headers.get("Origin") not in (own, *config.current().allowed_origins):
            raise ForeignOrigin()
        g.came_by_cookie = True
        token = request.cookies[COOKIE]
    return token


def came_by_cookie() -> bool:
    """Whether the refresh token that was `presented` was the cookie's."""
    return bool(g.get("came_by_cookie"))


def drop() -> None:
    """Let the browser forget the refresh token."""
    if COOKIE in request.cookies:
        put("", max_age=0)


def put(token: str, *, max_age: int | None = None) -> None:
    """Give the browser a refresh token to keep."""
    settings = config.current()
    is_at_home = settings.is_development and urlsplit(f"//{request.host}").hostname in _LOOPBACK

    @after_this_request
    def set_cookie(response: Response) -> Response:
        response.set_cookie(
            COOKIE,
            token,
            max_age=settings.refresh_token_ttl if max_age is None else max_age,
            path="/api",
            secure=not is_at_home,
            httponly=True,
            samesite="Strict",
        )
        return response

"""A pair of tokens as an answer."""

from typing import Any

from flask import request

from devicehub.auth import service as auth
from devicehub.auth.sessions import Grant
from devicehub.core import config
from devicehub.web import identity


def place() -> dict[str, Any]:
    """Where this request comes from, as a session keeps it."""
    return {"ip": request.remote_addr, "user_agent": request.headers.get("User-Agent", "")[:300]}


def pair(grant: Grant) -> dict[str, Any]:
    """The tokens of a session that was just granted or renewed, and whose it is, as `TokensSchema` shows them."""
    settings = config.current()
    return {
        "access_token": identity.mint(grant),
        "refresh_token": grant.refresh_token,
        "device_token": grant.device_token,
        "token_type": "Bearer",
        "expires_in": settings.access_token_ttl,
        "refresh_expires_in": settings.refresh_token_ttl,
        **auth.describe_grant(grant),
    }

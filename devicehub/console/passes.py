"""Passes: what lets a platform admin's browser into the console, for a quarter of an hour.

A pass vouches for whom its access token stood for, under a key of its own, so that neither is taken for the other.
What it is worth is asked at every request: whatever ends the session, or the token, ends the pass.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from devicehub.auth import standing
from devicehub.core import clock, config, crypto
from devicehub.core.actor import Actor
from devicehub.core.errors import Unauthenticated

LIFE = timedelta(minutes=15)


def issue(claims: Mapping[str, Any]) -> str:
    """A pass for the holder of an access token, by the claims of that."""
    ends_at = int(clock.timestamp() + LIFE.total_seconds())
    content = ".".join(str(claims[name]) for name in ("sub", "sid", "org", "jti", "tv")) + f".{ends_at}"
    return f"{content}.{_mac(config.current().jwt_secret, content)}"


def holder(text: str) -> Actor | None:
    """Whom a pass stands for now; None when it is none of ours, or it has ended, or its session has."""
    content, _, mac = text.rpartition(".")
    settings = config.current()
    keys = [key for key in (settings.jwt_secret, settings.jwt_secret_previous) if key]
    if not text.isascii() or not any(crypto.same(_mac(key, content), mac) for key in keys):
        return None
    user_id, session_id, organization_id, token_id, token_version, ends_at = content.split(".")
    if int(ends_at) <= clock.timestamp():
        return None
    try:
        return standing.identify(
            user_id=user_id,
            organization_id=organization_id,
            session_id=session_id,
            token_id=token_id,
            token_version=int(token_version),
            token_ends_at=datetime.fromtimestamp(int(ends_at), UTC),
        )
    except Unauthenticated:
        return None


def _mac(key: str, content: str) -> str:
    return crypto.mac(crypto.mac(key, "console pass"), content)

"""Refresh tokens: `dhr1.<session>.<n>.<mac>`. Nothing of one is stored but the session's `n` and salt."""

from devicehub.auth import proofs
from devicehub.auth.errors import InvalidRefreshToken
from devicehub.auth.models import Session
from devicehub.core import config, crypto, ids

PREFIX = "dhr1"


def is_one(token: str) -> bool:
    """Whether `token` says of itself that it is a refresh token."""
    return token.startswith(f"{PREFIX}.")


def spell(session: Session) -> str:
    """The present refresh token of a session."""
    return f"{PREFIX}.{session.id}.{session.n}.{_mac(session, session.n)}"


def prove(token: str) -> tuple[Session, int]:
    """The session a refresh token belongs to, live or not, and its number; raises InvalidRefreshToken."""
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != PREFIX:
        raise InvalidRefreshToken()
    _, sid, n, mac = parts
    wanted = ids.parse(sid)
    if wanted is None or not (n.isdecimal() and n.isascii() and len(n) < 10):
        raise InvalidRefreshToken()
    session: Session | None = Session.objects(id=wanted).first()
    if session is None or not crypto.same(_mac(session, int(n)), mac):
        raise InvalidRefreshToken()
    return session, int(n)


def _mac(session: Session, n: int) -> str:
    return crypto.mac(config.current().jwt_refresh_secret, session.id, n, session.salt, proofs.epoch())

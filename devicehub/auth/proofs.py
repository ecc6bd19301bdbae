"""Keyed hashes and signed tokens, each for one purpose: what proves one thing proves nothing else."""

from datetime import timedelta

from devicehub.core import clock, config, crypto, mongo


def of(purpose: str, *parts: object) -> str:
    """A keyed hash over `parts`, under a key of this purpose's own."""
    return crypto.mac(crypto.mac(config.current().jwt_refresh_secret, purpose), *parts)


def account(email: str) -> str:
    """What an address is called where it may not be read; the same for an unknown one."""
    return of("account", email.lower())


def seal(purpose: str, *facts: object, life: timedelta) -> str:
    """A token that vouches for `facts` (without dots) until its life is over."""
    signed = [*map(str, facts), str(int(clock.timestamp() + life.total_seconds()))]
    return ".".join([purpose, *signed, _mac(purpose, signed)])


def unseal(purpose: str, token: str) -> list[str] | None:
    """The facts a token of this purpose vouches for; None when it is none of ours, or its life is over."""
    parts = token.split(".")
    if len(parts) < 3 or parts[0] != purpose or not crypto.same(_mac(purpose, parts[1:-1]), parts[-1]):
        return None
    *facts, ends_at = parts[1:-1]
    return facts if clock.timestamp() < int(ends_at) else None


def _mac(purpose: str, signed: list[str]) -> str:
    return of(purpose, *signed, epoch())


def epoch() -> int:
    """Raised when a backup is restored: or what was used since would be good again."""
    row = mongo.database()["system"].find_one({"_id": "token_epoch"})
    return int(row["value"]) if row else 0

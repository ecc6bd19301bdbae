"""Tickets: how a page opens one SSE stream without its token standing in an address. Single use, a minute."""

import hashlib
from dataclasses import asdict
from datetime import datetime

import orjson

from devicehub.core import crypto, redis
from devicehub.core.actor import Actor

LIFE_S = 60
LONGEST = 128


def issue(actor: Actor) -> str:
    """A ticket that stands for `actor` once; raises RedisAway."""
    ticket = crypto.random_token()
    value = orjson.dumps(asdict(actor), default=list)
    redis.current().call(lambda client: client.set(_key(ticket), value, ex=LIFE_S))
    return ticket


def redeem(ticket: str) -> Actor | None:
    """Whom a ticket stands for, now for the last time; None for one that is used, over or made up."""
    if len(ticket) > LONGEST:
        return None
    value: bytes | None = redis.current().call(lambda client: client.getdel(_key(ticket)))
    if value is None:
        return None
    facts = orjson.loads(value)
    ends_at = facts.pop("token_ends_at")
    return Actor(
        **facts | {"scopes": frozenset(facts["scopes"])},
        token_ends_at=datetime.fromisoformat(ends_at) if ends_at else None,
    )


def _key(ticket: str) -> str:
    return f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"

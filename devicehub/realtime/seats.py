"""How many connections a user has, over all processes: each takes a seat, and keeps it while it is renewed.

A seat that nobody renews is free after LIFE_S, so a process that was killed holds nobody's seats for long.
While Redis is away each process counts its own.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal

from devicehub.core.redis import Redis, RedisAway
from devicehub.realtime.errors import TooManyConnections

LIFE_S = 15

Kind = Literal["sockets", "streams"]
Seat = tuple[Kind, str, str]  # the kind, whose it is, its name

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_TAKE = (
    _CLOCK
    + f"""
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + {LIFE_S * 1000}, ARGV[1])
redis.call('EXPIRE', KEYS[1], {LIFE_S})
return 1
"""
)
_RENEW = (
    _CLOCK
    + f"""
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], now + {LIFE_S * 1000}, ARGV[i])
  redis.call('EXPIRE', KEYS[i], {LIFE_S})
end
"""
)


class Seats:
    """The seats of one deployment."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take, self._renew = redis.script(_TAKE, loses=False), redis.script(_RENEW, loses=False)

    def take(self, seat: Seat, *, limit: int, here: int) -> None:
        """Sit down; raises TooManyConnections. `here` is how many seats the user has in this process."""
        try:
            is_free = self._take([_key(seat)], [seat[2], limit])
        except RedisAway:
            is_free = here < limit
        if not is_free:
            raise TooManyConnections(limit=limit, kind=seat[0], headers={"Retry-After": "5"})

    def give_up(self, *seats: Seat) -> None:
        """Leave; without Redis the seats are free when their life is over."""

        def ask(client: Any) -> None:
            pipe = client.pipeline(transaction=False)
            for seat in seats:
                pipe.zrem(_key(seat), seat[2])
            pipe.execute()

        with suppress(RedisAway):
            self._redis.call(ask, loses=False)

    def renew(self, seats: Iterable[Seat]) -> None:
        """Keep these, also where Redis has forgotten them."""
        kept = list(seats)
        if kept:
            self._renew([_key(seat) for seat in kept], [seat[2] for seat in kept])


def _key(seat: Seat) -> str:
    return f"seats:{seat[0]}:{seat[1]}"

"""How often a fleet beats: counted in Redis, a number for each organization and minute."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from redis import Redis as Client

from devicehub.core import clock, redis
from devicehub.core.redis import RedisAway

LIFE_S = 180


def count(beats: Mapping[str, int]) -> None:
    """Note so many beats of each organization; without Redis they are not counted."""
    minute = int(clock.timestamp() // 60)
    with suppress(RedisAway):
        redis.current().call(lambda client: _add(client, minute, Counter(beats)), loses=False)


def _add(client: Client, minute: int, beats: Counter[str]) -> None:
    pipe = client.pipeline(transaction=False)
    for organization_id, number in beats.items():
        name = f"beats:{organization_id}:{minute}"
        pipe.incrby(name, number)
        pipe.expire(name, LIFE_S)
    pipe.execute()


def beats_a_minute(organization_id: str) -> int | None:
    """The beats of the last 60 s, those of the minute before by its share of them; None without Redis."""
    moment = clock.timestamp()
    minute, share = int(moment // 60), 1 - moment % 60 / 60
    names = [f"beats:{organization_id}:{number}" for number in (minute - 1, minute)]
    try:
        before, now = redis.current().call(lambda client: client.mget(names), loses=False)
    except RedisAway:
        return None
    return round(int(before or 0) * share) + int(now or 0)

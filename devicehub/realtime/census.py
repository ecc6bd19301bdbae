"""How many listen: every process reports its own listeners every few seconds, and anybody adds them up."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import orjson

from devicehub.core.redis import Redis, RedisAway

LIFE_S = 10
_KEY = "census"

_REPORT = f"""
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], (now + {LIFE_S}) .. '|' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], {LIFE_S})
local reports, all = {{}}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local till, report = all[i + 1]:match('^(%d+)|(.*)$')
  if tonumber(till) < now then redis.call('HDEL', KEYS[1], all[i]) else reports[#reports + 1] = report end
end
return reports
"""


@dataclass(slots=True)
class Count:
    """The listeners of each organization by kind, and how many processes they are spread over."""

    processes: int = 0
    organizations: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def total(self) -> Counter[str]:
        return sum(self.organizations.values(), Counter())


class Census:
    """What all processes of a deployment reported lately."""

    def __init__(self, redis: Redis, process: str) -> None:
        self._redis, self._process = redis, process
        self._report = redis.script(_REPORT, loses=False)

    def take(self, mine: dict[str, dict[str, int]]) -> Count:
        """Report one's own listeners and count everybody's; without Redis one's own alone."""
        report = orjson.dumps(mine)
        try:
            reports: list[bytes] = self._report([_KEY], [self._process, report])
        except RedisAway:
            reports = [report]
        count = Count(processes=len(reports))
        for one in reports:
            for organization_id, listeners in orjson.loads(one).items():
                count.organizations[organization_id].update(listeners)
        return count

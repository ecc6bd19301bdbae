"""The windows that limits are counted in: shared through Redis, and in this process's memory while it is away."""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import limits
from flask import has_request_context, request
from limits.storage import MemoryStorage, MovingWindowSupport, RedisStorage, Storage

from devicehub.core import config, metrics, redis
from devicehub.core.actor import Actor
from devicehub.core.redis import RedisAway

# Where a request's environment holds the Window that it was counted in before it came to Flask.
COUNTED = "devicehub.counted"
_FOUND = "devicehub.windows"  # and what it found there
_SCOPE = "global"  # what Flask-Limiter calls limits that routes have in common

_WINDOWS = f"""
local function acquire(KEYS, ARGV)
{RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW.decode()}
end
local function window(KEYS, ARGV)
{RedisStorage.SCRIPT_MOVING_WINDOW.decode()}
end
"""
# What `limits` asks in two questions: to take a place in a window, and when it began and what it holds since.
_ACQUIRE = f"""{_WINDOWS}
local is_free = acquire(KEYS, ARGV)
local time, most, seconds = unpack(ARGV)
return {{is_free and 1 or 0, window(KEYS, {{time - seconds, most}})}}
"""
# The same for many: KEYS are pairs, the window to count in and the one that only refusals are counted in; who has
# no place left in either of them is not counted.
_TAKE = f"""{_WINDOWS}
local time, most, seconds, most_refused, refused_seconds = unpack(ARGV)
local answers = {{}}
for i = 1, #KEYS, 2 do
  local key, refused = {{KEYS[i]}}, window({{KEYS[i + 1]}}, {{time - refused_seconds, most_refused}})
  local is_free = not refused or refused[2] < tonumber(most_refused)
  if is_free and acquire(key, {{time, most, seconds, 1}}) then
    table.insert(answers, {{window(key, {{time - seconds, most}}), refused}})
  else
    table.insert(answers, false)
  end
end
return answers
"""


class Window(NamedTuple):
    """One window of a caller: how much it holds, how much of that is left, and when it will all be."""

    amount: int
    remaining: int
    reset_at: int

    @property
    def headers(self) -> dict[str, str]:
        """The window as answers tell of it."""
        return {
            "X-RateLimit-Limit": str(self.amount),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }


class SharedStorage(Storage, MovingWindowSupport):
    """Flask-Limiter's storage: Redis behind the breaker, else memory. Never raises."""

    STORAGE_SCHEME = ["devicehub"]  # noqa: RUF012 - the registry of `limits` wants a list

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._shared = RedisStorage(redis.current().url, connection_pool=redis.current().pool)
        self._local = MemoryStorage()

    @property
    def base_exceptions(self) -> type[Exception]:
        return RedisAway

    def _ask(self, ask: Callable[[Any], Any]) -> Any:
        try:
            return redis.current().call(lambda _: ask(self._shared))
        except RedisAway:
            metrics.count_degraded("limits")
            return ask(self._local)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take a place in the window; alone, a process grants only its share of what guards passwords."""
        moment = time.time()
        try:
            ask = redis.current().script(_ACQUIRE)
            is_free, *found = ask([self._shared.prefixed_key(key)], [moment, limit, expiry, amount])
        except RedisAway:
            metrics.count_degraded("limits")
            share = max(1, limit // config.current().web_concurrency) if "/auth|" in key else limit
            return self._local.acquire_entry(key, share, expiry, amount)
        _keep(key, found[0] if found else (moment, 0))
        return bool(is_free)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the window began, and how much it holds; as this request found it, if it took a place in it."""
        if (kept := _kept(key)) is not None:
            return float(kept[0]), int(kept[1])
        window: tuple[float, int] = self._ask(lambda storage: storage.get_moving_window(key, limit, expiry))
        return window

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return int(self._ask(lambda storage: storage.incr(key, expiry, amount)))

    def get(self, key: str) -> int:
        return int(self._ask(lambda storage: storage.get(key)))

    def get_expiry(self, key: str) -> float:
        return float(self._ask(lambda storage: storage.get_expiry(key)))

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        count: int | None = self._ask(lambda storage: storage.reset())
        return count

    def clear(self, key: str) -> None:
        self._ask(lambda storage: storage.clear(key))


def _keep(key: str, window: Any) -> None:
    if has_request_context():
        request.environ.setdefault(_FOUND, {})[key] = window


def _kept(key: str) -> Any:
    return request.environ.get(_FOUND, {}).get(key) if has_request_context() else None


def key_of_device(actor: Actor) -> str:
    """What a device's signals are counted under: the key it came with."""
    return f"ingest|{actor.key_id}"


def take(actors: Sequence[Actor]) -> list[Window | None]:
    """Count a signal of each of these devices, which have proven who they are, in one round trip.

    None for who has no place left: that one is not counted, and is Flask-Limiter's to refuse. Raises RedisAway.
    """
    settings = config.current()
    own, refusals = _item(settings.ingest_rate_limit), _item(settings.general_rate_limit)
    keys = [
        f"{RedisStorage.PREFIX}:{item.key_for(key, _SCOPE)}"
        for actor in actors
        for item, key in ((own, key_of_device(actor)), (refusals, actor.user_id))
    ]
    moment = time.time()
    amounts = [own.amount, own.get_expiry(), refusals.amount, refusals.get_expiry()]
    answers = redis.current().script(_TAKE)(keys, [moment, *amounts]) if keys else []
    is_own_shown = not refusals < own  # of two, answers tell of the one that moves faster, or comes first
    item, place = (own, 0) if is_own_shown else (refusals, 1)
    return [None if answer is None else _window(item, answer[place : place + 1], moment) for answer in answers]


@cache
def _item(text: str) -> limits.RateLimitItem:
    return limits.parse(text)


def _window(item: limits.RateLimitItem, found: Sequence[Any], moment: float) -> Window:
    """As Flask-Limiter tells of it; `found` says when it began and what it holds, if it holds anything."""
    [(began, count)] = found or [(moment, 0)]
    return Window(item.amount, item.amount - count, int(float(began) + item.get_expiry() + 1))

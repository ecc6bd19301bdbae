"""Counters of what the process does, in prometheus-client's default registry; read by whoever shows them."""

from prometheus_client import Counter

_cache = Counter("devicehub_cache_lookups", "Cache look-ups by noun and result", ["noun", "result"])
_degraded = Counter("devicehub_degraded", "Answers given without a dependency that was away", ["what"])


def count_cache(noun: str, result: str) -> None:
    """Count one look-up: HIT, MISS or BYPASS."""
    _cache.labels(noun, result).inc()


def count_degraded(what: str) -> None:
    """Count one degraded answer: what had to be done without."""
    _degraded.labels(what).inc()

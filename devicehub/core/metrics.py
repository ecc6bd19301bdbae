"""Counters of what the process does, in prometheus-client's default registry; read by whoever shows them."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

_cache = Counter("devicehub_cache_lookups", "Cache look-ups by noun and result", ["noun", "result"])
_drift = Counter("devicehub_usage_drift", "Counts of logs that were found wrong, and mended")
_degraded = Counter("devicehub_degraded", "Answers given without a dependency that was away", ["what"])
_transitions = Counter(
    "devicehub_device_transitions", "Changes of state that no person made, by what it is now", ["to"]
)
_sweep_lag = Gauge(
    "devicehub_presence_sweep_lag_seconds", "How long the first due device had been due when it was found"
)
_group = Histogram(
    "devicehub_signal_group_size", "Signals written together", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)


def count_drift(number: int) -> None:
    """Count what was found wrong in what was counted of logs."""
    _drift.inc(number)


def count_cache(noun: str, result: str) -> None:
    """Count one look-up: HIT, MISS or BYPASS."""
    _cache.labels(noun, result).inc()


def count_degraded(what: str) -> None:
    """Count one degraded answer: what had to be done without."""
    _degraded.labels(what).inc()


def count_transitions(kinds: Iterable[str]) -> None:
    """Count changes of devices' states: the new presence of each, or `other`."""
    for kind in kinds:
        _transitions.labels(kind).inc()


def note_sweep_lag(seconds: float) -> None:
    """Note for how long the first due device had been due when the sweeper found it."""
    _sweep_lag.set(seconds)


def observe_group(size: int) -> None:
    """Note how many signals are written together."""
    _group.observe(size)

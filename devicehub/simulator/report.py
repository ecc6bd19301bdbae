"""What the fleet has seen so far: counts, latencies, and how they are told."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock

WINDOW = 10


class Histogram:
    """Latencies in buckets 2 % apart: a run of days takes no more memory than one of seconds."""

    _STEP = math.log(1.02)

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._buckets[round(math.log(max(seconds, 1e-6)) / self._STEP)] += 1

    def merge(self, other: "Histogram") -> None:
        self._buckets.update(other._buckets)

    def percentile(self, share: float) -> float | None:
        """The latency in seconds that `share` of all stayed within; None when there was none."""
        rank = share * self._buckets.total()
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return math.exp(bucket * self._STEP)
        return None


@dataclass
class Second:
    """What came back in one second of the run."""

    number: int
    beats: int = 0
    latencies: Histogram = field(default_factory=Histogram)


class Tally:
    """Counts beats, from any thread. The recent figures look at the last ten whole seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._now = now
        self._began = now()
        self._recent: deque[Second] = deque(maxlen=WINDOW + 1)
        self._latencies = Histogram()
        self.sent = 0
        self.ok = 0
        self.missed = 0
        self.errors: Counter[str] = Counter()

    def begin(self) -> None:
        """Restart the clock: the fleet is ready and its first beats are due."""
        self._began = self._now()

    def sending(self) -> None:
        with self._lock:
            self.sent += 1

    def answered(self, latency: float, error: str | None = None) -> None:
        """One answer, its time, and what was wrong with it."""
        with self._lock:
            self._latencies.add(latency)
            second = self._second()
            second.beats += error is None
            second.latencies.add(latency)
            self._count(error)

    def unanswered(self, error: str) -> None:
        with self._lock:
            self._count(error)

    def passed_over(self, beats: int) -> None:
        """Beats that were due and not sent, because the one before had not been accepted yet."""
        with self._lock:
            self.missed += beats

    def _count(self, error: str | None) -> None:
        if error is None:
            self.ok += 1
        else:
            self.errors[error] += 1

    def _second(self) -> Second:
        number = int(self.elapsed)
        if not self._recent or self._recent[-1].number != number:
            self._recent.append(Second(number))
        return self._recent[-1]

    @property
    def elapsed(self) -> float:
        return self._now() - self._began

    @property
    def failed(self) -> int:
        return self.errors.total()

    @property
    def pending(self) -> int:
        return self.sent - self.ok - self.failed

    @property
    def clean(self) -> bool:
        """Whether every beat that was sent has been accepted."""
        return self.ok == self.sent

    def progress(self, online: int, devices: int) -> str:
        """The line that is shown while the fleet runs."""
        with self._lock:
            now = int(self.elapsed)
            window = [second for second in self._recent if now - WINDOW <= second.number < now]
            recent = _merged(second.latencies for second in window)
            rate = sum(second.beats for second in window) / max(min(now, WINDOW), 1)
        return (
            f"{_clock(now)}  {online}/{devices} online  {self.ok:,} beats  {rate:.1f} beats/s"
            f"  p50 {_milliseconds(recent, 0.5)}  p95 {_milliseconds(recent, 0.95)}  {self.failed:,} errors"
        )

    def summary(self) -> str:
        """The last word: one figure a line."""
        with self._lock:
            rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _rows(self) -> list[tuple[str, str]]:
        percentiles = ((f"p{share * 100:.0f}", share) for share in (0.5, 0.95, 0.99))
        return [
            ("sent", f"{self.sent:,}"),
            ("ok", f"{self.ok:,}"),
            ("errors", f"{self.failed:,}"),
            *((f"  {error}", f"{count:,}") for error, count in self.errors.most_common()),
            *([("unanswered", f"{self.pending:,}")] if self.pending else []),
            *([("missed", f"{self.missed:,}")] if self.missed else []),
            *((name, _milliseconds(self._latencies, share)) for name, share in percentiles),
            ("beats/s", f"{self.ok / max(self.elapsed, 1e-9):.1f}"),
        ]


def _merged(histograms: Iterable[Histogram]) -> Histogram:
    whole = Histogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def _milliseconds(latencies: Histogram, share: float) -> str:
    seconds = latencies.percentile(share)
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _clock(seconds: int) -> str:
    return f"{seconds // 60:02d}:{seconds % 60:02d}"

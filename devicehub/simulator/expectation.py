"""What presence must be, found out from outside: from when beats were sent and answered, and from nothing else.

The server heard a beat at some moment between the two. All times are this process's own monotonic seconds, so
neither the server's clock nor any device's has a say.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

LATE_AFTER = 1.5  # heartbeat intervals
GRACE = 15.0
PROMPT = 2.0  # found within this


class Span(NamedTuple):
    """From when a request was sent until it was answered; what it did was done in between."""

    sent: float
    answered: float


class Move(NamedTuple):
    """A change that must be told once, and when."""

    to: str
    earliest: float
    latest: float


class Told(NamedTuple):
    """A change that was told, and when we heard of it."""

    to: str
    at: float


class Terms(NamedTuple):
    """What was agreed: the interval between beats, and how long news may be on the way to us."""

    interval: float
    tolerance: float = 1.0

    @property
    def window(self) -> float:
        return LATE_AFTER * self.interval

    @property
    def silence(self) -> float:
        """A silence after which everybody must have been told that the device is offline."""
        return self.window + GRACE + PROMPT + self.tolerance


def expected(terms: Terms, beats: Sequence[Span], told: Sequence[Told], until: float) -> list[Move]:
    """All changes of a device that was offline, and whose beats these are, up to a moment.

    Where a beat came so close to a deadline that either may have been first, it is as was `told`.
    """
    moves = [_return(terms, beats[0])] if beats else []
    for last, following in pairwise(_heard(beats)):
        silent = _silence(terms, last, following, told)
        moves += [*silent, _return(terms, following)] if silent else []
    if beats:
        moves += _silence(terms, _heard(beats)[-1], Span(until, until), told)
    return moves


def possible(terms: Terms, beats: Sequence[Span], asked: Span) -> set[str]:
    """What the server may say of a device when it is asked, and no beat is on its way."""
    if not beats:
        return {"offline"}
    last, late = _heard(beats)[-1], terms.window
    found = PROMPT + terms.tolerance
    spans = {
        "online": (last.sent, last.answered + late + found),
        "late": (last.sent + late, last.answered + late + GRACE + found),
        "offline": (last.sent + late + GRACE, float("inf")),
    }
    return {name for name, (start, end) in spans.items() if asked.answered >= start and asked.sent <= end}


def _heard(beats: Sequence[Span]) -> list[Span]:
    """For each beat, in the order they were sent, between when its device was heard last."""
    return list(_latest(sorted(beats)))


def _latest(beats: Sequence[Span]) -> Iterator[Span]:
    answered = 0.0
    for beat in beats:
        answered = max(answered, beat.answered)
        yield Span(beat.sent, answered)


def _return(terms: Terms, beat: Span) -> Move:
    return Move("online", beat.sent, beat.answered + terms.tolerance)


def _silence(terms: Terms, last: Span, following: Span, told: Sequence[Told]) -> list[Move]:
    """What becomes of a device that was heard `last` and then not before `following`."""
    moves = []
    for to, after in (("late", terms.window), ("offline", terms.window + GRACE)):
        move = Move(to, last.sent + after, last.answered + after + PROMPT + terms.tolerance)
        is_certain = following.sent > move.latest
        is_excluded = following.answered < move.earliest
        if is_excluded or not (is_certain or _was_told(move, told)):
            break
        moves.append(move)
    return moves


def _was_told(move: Move, told: Sequence[Told]) -> bool:
    return any(one.to == move.to and move.earliest <= one.at <= move.latest for one in told)

"""The judgement: what was told beside what had to be, device by device, and a table of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from devicehub.simulator.expectation import Move, Told

KINDS = ("expected", "seen", "missing", "late", "double", "wrong")
EXAMPLES = 10


@dataclass
class Finding:
    """Of one matter: how much there had to be, was seen, and in which ways the two differ."""

    expected: int = 0
    seen: int = 0
    missing: int = 0
    late: int = 0
    double: int = 0
    wrong: int = 0

    @property
    def is_right(self) -> bool:
        return not (self.missing or self.late or self.double or self.wrong)


def _nothing_found() -> dict[str, Finding]:
    return defaultdict(Finding, {name: Finding() for name in ("online", "late", "offline")})


@dataclass
class Verdict:
    """Findings by matter, in the order they were first spoken of, and some divergences in words."""

    findings: dict[str, Finding] = field(default_factory=_nothing_found)
    divergences: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def is_right(self) -> bool:
        return all(finding.is_right for finding in self.findings.values())

    def compare(self, who: str, moves: Sequence[Move], told: Sequence[Told]) -> None:
        """Judge what was told of one device, in the order it was told."""
        for move in moves:
            self.findings[move.to].expected += 1
        waiting, before = list(moves), "offline"
        for one in told:
            self.findings[one.to].seen += 1
            place = _place(waiting, one)
            if place is None:
                self._note("double" if one.to == before else "wrong", who, one.to, f"told at {one.at:.2f}")
                continue
            for skipped in waiting[:place]:
                self._note("missing", who, skipped.to, f"by {skipped.latest:.2f}")
            self._time(who, waiting[place], one)
            before, waiting = one.to, waiting[place + 1 :]
        for move in waiting:
            self._note("missing", who, move.to, f"by {move.latest:.2f}")

    def count(self, matter: str, who: str, *, expected: int, seen: int) -> None:
        """Judge by number what has no order."""
        finding = self.findings[matter]
        finding.expected += expected
        finding.seen += seen
        if seen != expected:
            kind = "missing" if seen < expected else "double"
            self._note(kind, who, matter, f"{seen} of {expected}", abs(seen - expected))

    def check(self, matter: str, who: str, is_right: bool, said: object) -> None:
        """Judge one statement of the server."""
        finding = self.findings[matter]
        finding.expected += 1
        finding.seen += is_right
        if not is_right:
            self._note("wrong", who, matter, str(said))

    def _time(self, who: str, move: Move, one: Told) -> None:
        self.slowest = max(self.slowest, one.at - move.earliest)
        if one.at > move.latest:
            self._note("late", who, one.to, f"told {one.at - move.latest:.2f} s too late")
        elif one.at < move.earliest:
            self._note("wrong", who, one.to, f"told {move.earliest - one.at:.2f} s too early")

    def _note(self, kind: str, who: str, matter: str, said: str, count: int = 1) -> None:
        finding = self.findings[matter]
        setattr(finding, kind, getattr(finding, kind) + count)
        self.divergences.append(f"{who}: {matter} {kind}, {said}")

    def table(self, title: str) -> Table:
        table = Table(title=title, caption=f"Told {self.slowest:.2f} s after it may have been, at most.")
        table.add_column("")
        for kind in KINDS:
            table.add_column(kind, justify="right")
        for matter, finding in self.findings.items():
            figures = [getattr(finding, kind) for kind in KINDS]
            table.add_row(
                matter, *(f"{figure:,}" for figure in figures), style=None if finding.is_right else "red"
            )
        return table

    def examples(self) -> Iterable[str]:
        """The first divergences, and how many there are besides."""
        yield from self.divergences[:EXAMPLES]
        if len(self.divergences) > EXAMPLES:
            yield f"and {len(self.divergences) - EXAMPLES:,} more"


def _place(waiting: Sequence[Move], one: Told) -> int | None:
    """Which of the changes still waited for this one is: the next, unless that one was passed over."""
    for place, move in enumerate(waiting):
        if move.to == one.to and (place == 0 or one.at >= move.earliest):
            return place
    return None

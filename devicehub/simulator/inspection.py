"""After a storm: what the events told and what the API says, held against what must be."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from devicehub.simulator import catalogue
from devicehub.simulator.expectation import Move, Span, Terms, expected, possible
from devicehub.simulator.fleet import PAGE, Device
from devicehub.simulator.session import Session
from devicehub.simulator.storm import Storm
from devicehub.simulator.verdict import Verdict

SAMPLE = 20
Row = dict[str, Any]


def inspect(storm: Storm, terms: Terms) -> Verdict:
    """Everything, while nothing is under way. Devices of whose beats one had no answer are left out."""
    verdict = Verdict()
    known = [device for number, device in sorted(storm.fleet.items()) if number not in storm.unsure]
    sample = known[:: max(1, len(known) // SAMPLE)][:SAMPLE]
    _judge_lists(verdict, storm, terms, known)
    for device in sample:
        _judge_explanation(verdict, storm, terms, device)
    until, server_time = time.monotonic(), _server_time(storm)
    storm.listener.stop()
    moves = {
        device.id: expected(terms, storm.beats[device.number], storm.listener.told[device.id], until)
        for device in known
    }
    for device in known:
        verdict.compare(_name(device), moves[device.id], storm.listener.told[device.id])
    _judge_stream(verdict, storm, known)
    for device in sample:
        _judge_history(verdict, storm, device, moves[device.id], server_time)
    return verdict


def _server_time(storm: Storm) -> str:
    device = next(iter(storm.fleet.values()))
    now: str = storm.session.insist("GET", f"/api/devices/{device.id}/presence")["serverTime"]
    return now


def _judge_stream(verdict: Verdict, storm: Storm, known: list[Device]) -> None:
    listener = storm.listener
    verdict.count("resync-required", "the stream", expected=0, seen=listener.gaps)
    verdict.count("ids out of order", "the stream", expected=0, seen=listener.disorder)
    if listener.times_cut == 0:  # of beats that it missed, who comes back is told each device's last
        for device in known:
            seen, beats = listener.beats[device.id], len(storm.beats[device.number])
            verdict.count("beats told", _name(device), expected=beats, seen=seen)


def _judge_lists(verdict: Verdict, storm: Storm, terms: Terms, known: list[Device]) -> None:
    """The list, and the list of those that are online: other queries, answered from another cache."""
    presences, listed = _asked(storm.session, "")
    online, counted = _asked(storm.session, "&presence=online")
    for device in known:
        said, beats = presences.get(device.id), storm.beats[device.number]
        verdict.check("listed presence", _name(device), said in possible(terms, beats, listed), said)
        may_be = possible(terms, beats, counted)
        is_right = "online" in may_be if device.id in online else may_be != {"online"}
        verdict.check("listed as online", _name(device), is_right, device.id in online)


def _asked(session: Session, query: str) -> tuple[dict[str, str], Span]:
    asked = time.monotonic()
    presences = {row["id"]: row["presence"] for row in _rows(session, query)}
    return presences, Span(asked, time.monotonic())


def _rows(session: Session, query: str) -> Iterator[Row]:
    page, more = 0, True
    while more:
        page += 1
        path = f"/api/devices?search={catalogue.SERIAL_PREFIX}&sort=createdAt&limit={PAGE}&page={page}{query}"
        listing = session.insist("GET", path)
        yield from listing["items"]
        more = listing["pagination"]["hasNext"]


def _judge_explanation(verdict: Verdict, storm: Storm, terms: Terms, device: Device) -> None:
    asked = time.monotonic()
    said = storm.session.insist("GET", f"/api/devices/{device.id}/presence")
    may_be = possible(terms, storm.beats[device.number], Span(asked, time.monotonic()))
    verdict.check("explained presence", _name(device), said["presence"] in may_be, said["presence"])
    if offset := storm.offsets.get(device.number):
        is_right = abs(said["clockOffsetMs"] / 1000 - offset.seconds) <= offset.give
        told = f"{said['clockOffsetMs']} ms, not {offset.seconds:.3f} s"
        verdict.check("explained clock offset", _name(device), is_right, told)


def _judge_history(verdict: Verdict, storm: Storm, device: Device, moves: list[Move], until: str) -> None:
    listed = storm.session.insist("GET", f"/api/devices/{device.id}/presence/history?limit={PAGE}")["items"]
    changes = [change for change in reversed(listed) if storm.began_at < change["at"] <= until]
    right, said = [move.to for move in moves][-PAGE:], [change["to"] for change in changes]
    verdict.check("history", _name(device), said == right and _is_chain(changes), f"{said}, not {right}")


def _is_chain(changes: list[Row]) -> bool:
    """Whether each change begins where the one before ended, and not before it."""
    return all(one["to"] == other["from"] and one["at"] <= other["at"] for one, other in pairwise(changes))


def _name(device: Device) -> str:
    return catalogue.serial_number(device.number)

"""Lockout that is no weapon: failures lock out the place they come from, and not the account.

They are counted for each address, existing or not, by where they come from: five within a quarter of an hour, and
that place has to wait; longer with each further failure. A known device and a live session are places of their
own, so whatever a stranger tries, from anywhere, they are let in. A hundred failures an hour from all places
together close the address to all others, but for the network that has just proven to read the address's mail.

Counted in MongoDB by single updates, for a hundred at once, and without Redis.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import structlog
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from devicehub.auth import passwords, places, proofs
from devicehub.auth.errors import AccountLocked, InvalidCredentials
from devicehub.core import clock, mongo

log = structlog.get_logger("devicehub.security")

COLLECTION = "sign_in_failures"
ALLOWED, WINDOW = 5, timedelta(minutes=15)
FIRST_LOCK, LONGEST_LOCK = timedelta(minutes=1), timedelta(minutes=15)
ALLOWED_IN_ALL, WINDOW_IN_ALL = 100, timedelta(hours=1)
PROVEN_FOR = timedelta(hours=1)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a password for one address is tried from; one that is known is not held up by what others do."""

    account: str
    name: str
    is_known: bool

    @property
    def id(self) -> str:
        return f"{self.account}|{self.name}"


def network(email: str, ip: str | None) -> Place:
    """Somewhere on the internet."""
    return Place(proofs.account(email), f"network|{places.network(ip)}", is_known=False)


def device(email: str, device_id: str) -> Place:
    """A known device, wherever it is."""
    return Place(proofs.account(email), f"device|{device_id}", is_known=True)


def session(email: str, session_id: str) -> Place:
    """A session that lives."""
    return Place(proofs.account(email), f"session|{session_id}", is_known=True)


def admit(place: Place) -> None:
    """Raise AccountLocked while a place has to wait: before anything is looked up or computed."""
    rows = {row["_id"]: row for row in _rows().find({"_id": {"$in": [place.id, place.account]}})}
    moment, own = clock.now(), rows.get(place.id, {})
    ends = [own.get("locked_until") or moment]
    if not place.is_known and own.get("proven_until", moment) <= moment:
        ends.append(_closed_until(rows.get(place.account, {})) or moment)
    if max(ends) > moment:
        raise AccountLocked(retry_after=ceil((max(ends) - moment).total_seconds()))


def verify(password: str, hashed: str | None, place: Place) -> None:
    """Compare a password with its hash (None for an unknown account), and count it when it is wrong.

    To be called after `admit`. Raises InvalidCredentials, AccountLocked and Busy.
    """
    if not passwords.matches(password, hashed):
        _count(place)
        raise InvalidCredentials()
    admit(place)  # of many guesses at once, the right one comes too late when five others were wrong
    _forgive(place)


def prove(place: Place) -> None:
    """Whoever is there reads the address's mail: let them in for an hour, whatever others do."""
    proven_until = clock.now() + PROVEN_FOR
    fresh = {"_id": place.id, "proven_until": proven_until, "expires_at": proven_until}
    _rows().replace_one({"_id": place.id}, fresh, upsert=True)


def _forgive(place: Place) -> None:
    """Forget the failures of a place, but not that its mail was read there."""
    is_proven = {"$gt": clock.now()}
    _rows().update_one(
        {"_id": place.id, "proven_until": is_proven},
        [{"$unset": ["failures", "locks", "locked_until"]}, {"$set": {"expires_at": "$proven_until"}}],
    )
    _rows().delete_one({"_id": place.id, "proven_until": {"$not": is_proven}})


def _rows() -> "Collection[Row]":
    return mongo.database()[COLLECTION]


def _closed_until(in_all: Row) -> datetime | None:
    failures: list[datetime] = in_all.get("failures", [])
    return failures[0] + WINDOW_IN_ALL if len(failures) == ALLOWED_IN_ALL else None


def _count(place: Place) -> None:
    """One more failure; raises AccountLocked when others have locked the place meanwhile."""
    while True:
        moment = clock.now()
        is_open = {"_id": place.id, "locked_until": {"$not": {"$gt": moment}}}
        try:
            row = _rows().find_one_and_update(
                is_open, _one_more(moment), upsert=True, return_document=ReturnDocument.AFTER
            )
            break
        except DuplicateKeyError:  # it is locked now, or another has made it in this very moment
            admit(place)
    if row and row["locks"]:
        log.warning("security.locked_out", place=place.name, seconds=(row["locked_until"] - moment).seconds)
    _rows().update_one(
        {"_id": place.account},
        {
            "$push": {"failures": {"$each": [moment], "$slice": -ALLOWED_IN_ALL}},
            "$set": {"expires_at": moment + WINDOW_IN_ALL},
        },
        upsert=True,
    )


def _one_more(moment: datetime) -> list[Row]:
    """What a failure makes of a place's row, reckoned by MongoDB: of any number at once none is lost.

    `failures` are the latest, `locks` how often in a row they have locked the place: the first time after five
    of them, from then on each time, until a quarter of an hour has passed since the last lock ended.
    """
    recent = _filter("$failures", {"$gt": ["$$this", moment - WINDOW]})
    is_in_a_row = {"$gt": ["$locked_until", moment - WINDOW]}
    locks = {"$or": [{"$gt": ["$locks", 0]}, {"$gte": [{"$size": "$failures"}, ALLOWED]}]}
    doubled = {"$multiply": [_ms(FIRST_LOCK), {"$pow": [2, {"$subtract": ["$locks", 1]}]}]}
    locked_until = {"$add": [moment, {"$min": [doubled, _ms(LONGEST_LOCK)]}]}
    lasts_until = {"$add": [{"$ifNull": ["$locked_until", moment]}, _ms(WINDOW)]}
    return [
        {
            "$set": {
                "failures": {"$slice": [{"$concatArrays": [recent, [moment]]}, -ALLOWED]},
                "locks": {"$cond": [is_in_a_row, "$locks", 0]},
            }
        },
        {"$set": {"locks": {"$add": ["$locks", {"$cond": [locks, 1, 0]}]}}},
        {"$set": {"locked_until": {"$cond": [{"$gt": ["$locks", 0]}, locked_until, None]}}},
        {"$set": {"expires_at": {"$max": [lasts_until, "$proven_until"]}}},
    ]


def _filter(array: str, condition: Row) -> Row:
    return {"$filter": {"input": {"$ifNull": [array, []]}, "cond": condition}}


def _ms(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)

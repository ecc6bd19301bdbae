"""Keys: credentials that stay, `<prefix>_<id>_<secret>`.

One is found by its id, and the SHA-256 of its secret compared in constant time. A secret has 256 random bits, so
a slow hash would add nothing but its slowness.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.auth.errors import InvalidToken, KeyRevoked, TooManyKeys
from devicehub.auth.models import Key
from devicehub.core import clock, crypto, remembered
from devicehub.core.errors import DeviceHubError
from devicehub.core.groups import Group
from devicehub.core.remembered import State

Row = Mapping[str, Any]
Wanted = tuple[type[Key], ObjectId]
Proof = tuple[str, State] | DeviceHubError

_SHAPE = re.compile(r"([a-z]+)_([0-9a-f]{24})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of key: its document, and what is remembered of one beside its hash."""

    document: type[Key]
    facts: Callable[[Row], State]

    def begins(self, token: str) -> bool:
        """Whether `token` says that it is a key of this kind."""
        return token.startswith(f"{self.document.BEGINS}_")


@dataclass(frozen=True, slots=True)
class Made:
    """A new key: `text` is all of it, told once and kept nowhere."""

    id: ObjectId
    text: str
    hash: str


def make(kind: Kind) -> Made:
    """A new key, not written yet."""
    key_id, secret = ObjectId(secrets.token_bytes(12)), crypto.random_token(32)
    return Made(key_id, f"{kind.document.BEGINS}_{key_id}_{secret}", crypto.sha256(secret))


def insert(key: Key, *, among: Mapping[str, ObjectId], most: int) -> None:
    """Write a new key into a free place `among` its siblings; raises TooManyKeys.

    The index over places is unique: of two that take the same, the later one looks for another.
    """
    for _ in range(most):
        free = set(range(most)) - taken(type(key), among)
        if not free:
            break
        key.slot = min(free)
        try:
            key.save(force_insert=True)
        except NotUniqueError:
            continue
        return
    raise TooManyKeys(most=most)


def taken(document: type[Key], among: Mapping[str, ObjectId]) -> set[int]:
    """The places that live keys take."""
    rows = document._get_collection().find({**among, "slot": {"$exists": True}}, {"slot": 1})
    return {row["slot"] for row in rows}


def prove(kind: Kind, token: str) -> tuple[str, State]:
    """The id of the live key that `token` is, and what is known of it; raises InvalidToken or KeyRevoked."""
    [proof] = prove_all(kind, [token])
    if isinstance(proof, DeviceHubError):
        raise proof
    return proof


def prove_all(kind: Kind, tokens: Sequence[str]) -> list[Proof]:
    """What `prove` says of each of many tokens, in one round trip when all are remembered."""
    parts = [_parts(kind, token) for token in tokens]
    ids = [found[0] for found in parts if found is not None]
    states = dict(zip(ids, _look_up(kind, ids), strict=True)) if ids else {}
    return [InvalidToken() if found is None else _judged(*found, states[found[0]]) for found in parts]


def _parts(kind: Kind, token: str) -> tuple[str, str] | None:
    """The id and the secret of what looks like a key of this kind."""
    parts = _SHAPE.fullmatch(token)
    return (parts[2], parts[3]) if parts is not None and parts[1] == kind.document.BEGINS else None


def _judged(key_id: str, secret: str, state: State | None) -> Proof:
    if state is None or not crypto.same(crypto.sha256(secret), state["hash"]):
        return InvalidToken()
    return KeyRevoked() if state["revoked"] else (key_id, state)


def still(kind: Kind, key_id: str) -> State:
    """What is known now of a key that was proven before; raises KeyRevoked."""
    [state] = _look_up(kind, [key_id])
    if state is None or state["revoked"]:
        raise KeyRevoked()
    return state


def end(kind: Kind, chosen: Any) -> list[ObjectId]:
    """Revoke the live keys of a query set; they are dead at once. Returns which they were."""
    ended = list(chosen.filter(revoked_at=None).scalar("id"))
    if ended:
        kind.document.objects(id__in=ended, revoked_at=None).update(set__revoked_at=clock.now(), unset__slot=True)
        forget(kind, ended)
    return ended


def forget(kind: Kind, key_ids: Iterable[ObjectId]) -> None:
    """These keys have changed: ask MongoDB."""
    remembered.overwrite([_name(kind, str(key_id)) for key_id in key_ids], remembered.CHANGED)


def _look_up(kind: Kind, key_ids: Sequence[str]) -> list[State | None]:
    return remembered.look_up_apart([_name(kind, key_id) for key_id in key_ids], partial(_read, kind))


def _read(kind: Kind, names: Sequence[str]) -> list[State | None]:
    wanted = [(kind.document, ObjectId(name.rpartition("_")[2])) for name in names]
    return [None if row is None else _state(kind, row) for row in _readings.submit(wanted)]


def _state(kind: Kind, row: Row) -> State:
    return {"hash": row["hash"], "revoked": row.get("revoked_at") is not None, **kind.facts(row)}


def _read_together(asked: list[Wanted]) -> list[Row | None]:
    """The stored keys that are asked for at the same time: a fleet comes with as many as it has devices."""
    found: dict[Wanted, Row] = {}
    for document in {document for document, _ in asked}:
        chosen = [key_id for one, key_id in asked if one is document]
        rows = document._get_collection().find({"_id": {"$in": chosen}})
        found |= {(document, row["_id"]): row for row in rows}
    return [found.get(wanted) for wanted in asked]


_readings: Group[Wanted, Row | None] = Group(_read_together, largest=500)


def _name(kind: Kind, key_id: str) -> str:
    """Of its kind too: who comes with one kind of key as if it were the other is not taken for either."""
    return f"key:{kind.document.BEGINS}_{key_id}"

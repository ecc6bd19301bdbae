"""Adding to stored roll-ups: one update for each document, whoever else adds to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from devicehub.logs import rollups
from devicehub.logs.models import Day, DeviceDay, Hour
from devicehub.logs.rollups import Document, Leaves

KEYS: Mapping[type[Any], Sequence[str]] = {
    DeviceDay: ("organization_id", "device_id", "at", "event"),
    Hour: ("organization_id", "at", "part"),
    Day: ("organization_id", "zone", "at", "part"),
}
_OPERATORS = {"lo": "$min", "hi": "$max"}

Operators = dict[str, dict[str, float]]


def of(leaves: Leaves, zones: Mapping[ObjectId, str]) -> dict[type[Any], list[UpdateOne]]:
    """All that these leaves add, by document; `zones` are those beside UTC that organizations count days in."""
    counted = rollups.documents(leaves, zones)
    return {document: [of_one(document, each) for each in many] for document, many in counted.items()}


def of_one(document: type[Any], counted: Document) -> UpdateOne:
    """What adds all that is counted in one document to the stored one of its key, made if there is none."""
    key = {name: counted[name] for name in KEYS[document]}
    operators: Operators = {"$inc": {}, "$min": {}, "$max": {}}
    for name, part in counted.items():
        if name not in key and name != "_id":
            _spell_out(operators, name, part)
    return UpdateOne(key, {name: each for name, each in operators.items() if each}, upsert=True)


def _spell_out(operators: Operators, path: str, part: Any) -> None:
    if not isinstance(part, dict):
        operators[_OPERATORS.get(path.rpartition(".")[2], "$inc")][path] = part
        return
    for name, inner in part.items():
        _spell_out(operators, f"{path}.{name}", inner)

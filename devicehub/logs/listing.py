"""Lists of logs: by cursor, in the order of their time.

What an index picks out is read in its order. The rest is sought: such a list looks at no more than MOST_LOOKED_AT
logs at a time, and where these do not fill its part, its cursor says from where to look on.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from devicehub.core import ids
from devicehub.core.actor import Actor
from devicehub.core.documents import seen_by
from devicehub.core.errors import InvalidDateRange
from devicehub.core.paging import After, Position, Stretch
from devicehub.devices import service as devices
from devicehub.logs.models import NOTABLE, Log

MOST_LOOKED_AT = 20_000

Row = dict[str, Any]


def find(actor: Actor, device_id: str, query: Mapping[str, Any], after: After) -> Stretch[Row]:
    """Logs of a device; raises DeviceNotFound, and InvalidDateRange."""
    return _listed(actor, query, after, {"device_id": devices.row_of(actor, device_id)["_id"]})


def find_all(actor: Actor, query: Mapping[str, Any], after: After) -> Stretch[Row]:
    """Logs of the caller's organization, or of some of its devices; an unknown device has none.

    Raises InvalidDateRange.
    """
    if "device_id" not in query:
        return _listed(actor, query, after, {})
    wanted = {found for each in query["device_id"] if (found := ids.parse(each))}
    return _listed(actor, query, after, {"device_id": {"$in": sorted(wanted)}})


def _listed(actor: Actor, query: Mapping[str, Any], after: After, owner: Row) -> Stretch[Row]:
    served, sought = _divided(query, bool(owner))
    descends = query["order"] == "desc"
    order = [("at", -1), ("_id", -1)] if descends else [("at", 1), ("_id", 1)]
    bounds = [{"at": _between(query)}]
    if after.position is not None:
        bounds.append(_side("$lt" if descends else "$gt", after.position))
    chosen: Row = {**seen_by(actor, Log), **owner, **served, "$and": bounds}
    edge = _edge(chosen, order) if sought else None
    if edge is not None:
        bounds.append(_side("$gte" if descends else "$lte", edge))
    rows = list(Log._get_collection().find({**chosen, **sought}).sort(order).limit(after.limit + 1))
    found = after.cut(rows, _position)
    return Stretch(found.rows, found.limit, found.end or edge)


def _divided(query: Mapping[str, Any], of_devices: bool) -> tuple[Row, Row]:
    """Which of the filters an index serves, one at most, and which are sought."""
    wanted = {name: query[name] for name in ("event", "level") if name in query}
    by_index = {"event", "level"} if of_devices else {"level"} if wanted.get("level") in NOTABLE else set()
    name = next((name for name in wanted if name in by_index), None)
    served = {} if name is None else {name: wanted.pop(name)}
    if query.get("search"):
        literally = {"$regex": re.escape(query["search"]), "$options": "i"}
        return served, {**wanted, "$or": [{"message": literally}, {"event": literally}]}
    return served, wanted


def _between(query: Mapping[str, Any]) -> Row:
    bounds = {"$gte": query.get("start"), "$lt": query.get("end")}
    if "start" in query and "end" in query and query["start"] > query["end"]:
        raise InvalidDateRange(errors={"to": ["It lies before `from`."]})
    return {name: bound for name, bound in bounds.items() if bound is not None} or {"$exists": True}


def _side(operator: str, position: Position) -> Row:
    """All on one side of a position (`$lt`, `$gt`), or that and the position itself (`$lte`, `$gte`)."""
    at, log_id = datetime.fromtimestamp(int(position[0]) / 1000, UTC), ObjectId(str(position[1]))
    strictly, inclusive = operator.removesuffix("e"), operator.removesuffix("e") + "e"
    return {"at": {inclusive: at}, "$or": [{"at": {strictly: at}}, {"_id": {operator: log_id}}]}


def _edge(chosen: Row, order: Iterable[tuple[str, int]]) -> Position | None:
    """The last log to look at, if there are more than that; from the index alone."""
    keys = Log._get_collection().find(chosen, {"at": 1, "_id": 1}).sort(list(order))
    last: Row | None = next(keys.skip(MOST_LOOKED_AT - 1).limit(1), None)
    return None if last is None else _position(last)


def _position(row: Row) -> Position:
    return int(row["at"].timestamp() * 1000), str(row["_id"])

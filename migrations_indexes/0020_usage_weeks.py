"""What devices come to in weeks, of what they came to in the days that are there."""

from typing import Any

from pymongo.database import Database

OF_DAYS = [str(number) for number in range(8)]


def up(db: "Database[dict[str, Any]]") -> None:
    week = {"$dateTrunc": {"date": "$at", "unit": "week", "startOfWeek": "monday", "timezone": "$zone"}}
    key = {"organization_id": "$organization_id", "zone": "$zone", "at": week, "part": "$part"}
    summed = {name: {"$sum": f"$d.v.{name}"} for name in ("c", "n", "s")}
    counted = {name: f"${name}" for name in summed}
    db["usage_days"].aggregate(
        [
            {"$match": {"part": {"$in": OF_DAYS}}},
            {"$project": {**key, "d": {"$objectToArray": "$d"}}},
            {"$unwind": "$d"},
            {"$group": {"_id": {**{name: f"${name}" for name in key}, "device": "$d.k"}, **summed}},
            {
                "$group": {
                    "_id": {name: f"$_id.{name}" for name in key},
                    "d": {"$push": {"k": "$_id.device", "v": counted}},
                }
            },
            {
                "$project": {
                    "_id": 0,
                    **{name: f"$_id.{name}" for name in key},
                    "part": {"$concat": ["w", "$_id.part"]},
                    "d": {"$arrayToObject": "$d"},
                }
            },
            {
                "$merge": {
                    "into": "usage_days",
                    "on": ["organization_id", "zone", "at", "part"],
                    "whenMatched": "replace",
                }
            },
        ],
        allowDiskUse=True,
    )

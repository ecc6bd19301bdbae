"""Logs in the order of their time, and what is counted of them."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    of_device = [("organization_id", ASCENDING), ("device_id", ASCENDING)]
    newest_first = [("at", DESCENDING), ("_id", DESCENDING)]
    logs = db["logs"]
    logs.create_index([*of_device, *newest_first], name="of_device")
    logs.create_index([*of_device, ("event", ASCENDING), *newest_first], name="of_device_by_event")
    logs.create_index([*of_device, ("level", ASCENDING), *newest_first], name="of_device_by_level")
    logs.create_index([("organization_id", ASCENDING), ("at", ASCENDING)], name="of_organization")
    logs.create_index(
        [("device_id", ASCENDING), ("sequence", ASCENDING)],
        unique=True,
        partialFilterExpression={"sequence": {"$exists": True}},
        name="sequence",
    )
    organization, at, part = ("organization_id", ASCENDING), ("at", ASCENDING), ("part", ASCENDING)
    db["usage_hours"].create_index([organization, at, part], unique=True, name="hour")
    db["usage_days"].create_index([organization, ("zone", ASCENDING), at, part], unique=True, name="day")
    device, event = ("device_id", ASCENDING), ("event", ASCENDING)
    db["usage_devices"].create_index([organization, device, at, event], unique=True, name="device_day")
    db["usage_devices"].create_index([organization, at], name="day")

"""Devices: one index a way of sorting, one a filter that people narrow by."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    devices = db["devices"]
    for name in ("created_at", "name_key", "last_active_at"):
        devices.create_index(
            [("organization_id", ASCENDING), (name, DESCENDING), ("_id", DESCENDING)], name=f"by_{name}"
        )
    for name in ("type", "status", "presence", "tags", "owner_id"):
        devices.create_index(
            [
                ("organization_id", ASCENDING),
                (name, ASCENDING),
                ("created_at", DESCENDING),
                ("_id", DESCENDING),
            ],
            name=f"of_{name}",
        )
    devices.create_index(
        [("organization_id", ASCENDING), ("serial_number", ASCENDING)],
        unique=True,
        partialFilterExpression={"serial_number": {"$type": "string"}},
        name="serial_number",
    )

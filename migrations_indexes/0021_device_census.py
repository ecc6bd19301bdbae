"""How many devices there are of each type, status and presence, from the keys of an index alone."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    names = ("organization_id", "type", "status", "presence")
    db["devices"].create_index([(name, ASCENDING) for name in names], name="census")

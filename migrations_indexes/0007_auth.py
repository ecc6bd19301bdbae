"""Signing in: the places a user's sessions are known from; and what is counted or asked for goes by itself."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["sessions"].create_index([("user_id", ASCENDING), ("place", ASCENDING)], name="user_place")
    for name in ("sign_in_failures", "password_challenges", "otp_requests"):
        db[name].create_index([("expires_at", ASCENDING)], expireAfterSeconds=0, name="gone")

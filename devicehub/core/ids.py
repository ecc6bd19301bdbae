"""Ids: 24 hex digits outside, ObjectId inside."""

import hashlib
import re

from bson import ObjectId

_HEX = re.compile(r"[0-9a-fA-F]{24}")


def parse(text: str) -> ObjectId | None:
    """The id `text` spells, or None: a malformed id is treated as an unknown one."""
    return ObjectId(text) if isinstance(text, str) and _HEX.fullmatch(text) else None


def derived(seed: str, index: int = 0) -> ObjectId:
    """The same id each time for the same seed and index, so that doing it again finds what was done."""
    return ObjectId(hashlib.sha256(f"{seed}|{index}".encode()).digest()[:12])

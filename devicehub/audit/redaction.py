"""What of a change an entry keeps: plain values of a bounded size, and none whose name says that it is secret."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from devicehub.core import clock
from devicehub.core.logging import MASK, is_secret

LONGEST_NAME, LONGEST_TEXT, MOST_PARTS, DEEPEST = 100, 500, 50, 4
LARGEST = 8 << 10
CUT = "…"


def redacted(changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` as an entry keeps them; of what is too large only the names are."""
    kept = _parts(changes, DEEPEST)
    return kept if len(orjson.dumps(kept)) <= LARGEST else dict.fromkeys(kept, CUT)


def _parts(value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    named = [(_name(name), part) for name, part in list(value.items())[:MOST_PARTS]]
    return {name: MASK if is_secret(name) else _plain(part, depth - 1) for name, part in named}


def _name(name: Any) -> str:
    """A name that MongoDB keeps as it is: without a NUL, and no operator."""
    text = _text(name, LONGEST_NAME).replace("\0", "\ufffd")
    return f"\uff04{text[1:]}" if text.startswith("$") else text


def _plain(value: Any, depth: int) -> Any:
    """`value` as JSON that reads the same after MongoDB has kept it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return clock.rfc3339(value)
    if isinstance(value, Mapping):
        return _parts(value, depth) if depth else CUT
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_plain(part, depth - 1) for part in list(value)[:MOST_PARTS]] if depth else CUT
    return _text(value, LONGEST_TEXT)


def _text(value: Any, longest: int) -> str:
    text = str(value).encode(errors="replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + CUT

"""Judging logs as they come, a thousand at a time.

What is plainly sound is taken at once; whatever is not is left to the schema, which says what is wrong with it or
that nothing is. A test proves that both come to the same.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from marshmallow import ValidationError

from devicehub.core import clock
from devicehub.core.errors import InvalidInput
from devicehub.logs import schemas
from devicehub.logs.models import LEVELS
from devicehub.web.fields import NUMBERS_END

AHEAD, BACK = timedelta(minutes=5), timedelta(days=30)

Fields = dict[str, Any]
Errors = dict[str, Any]

_PLAIN_TEXT = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_PLAIN_KEYS = frozenset({"event", "value", "level", "message", "timestamp", "sequence"})
_LEVELS = frozenset(LEVELS)
_schema = schemas.NewLogSchema()


def judge(
    many: Sequence[Any], *, now: datetime | None = None, oldest: datetime | None = None
) -> tuple[dict[int, Fields], dict[int, Errors]]:
    """The fields of those that are sound, and what is wrong with the others, by their index.

    They are taken to come `now`, and to be no older than `oldest`; if they come as they happen, than BACK.
    """
    now, sound, wrong = now or clock.now(), dict[int, Fields](), dict[int, Errors]()
    for index, raw in enumerate(many):
        try:
            fields = _plain(raw)
            sound[index] = dated(_schema.load(raw) if fields is None else fields, now, oldest)
        except InvalidInput as error:
            wrong[index] = dict(error.errors or {})
        except ValidationError as error:
            messages = error.messages
            wrong[index] = messages if isinstance(messages, dict) else {"_schema": messages}
    return sound, wrong


def dated(fields: Fields, now: datetime, oldest: datetime | None = None) -> Fields:
    """The fields with `at` in the place of `timestamp`; raises InvalidInput unless it is a time we take."""
    at = fields.pop("timestamp", now)
    if not (oldest or now - BACK) <= at <= now + AHEAD:
        within = "the last 30 days" if oldest is None else "the time that logs are kept"
        raise InvalidInput(errors={"timestamp": [f"It has to be within {within}, or 5 minutes ahead."]})
    fields.setdefault("level", "info")
    beyond = at.microsecond % 1000  # MongoDB keeps milliseconds
    fields["at"] = at.replace(microsecond=at.microsecond - beyond) if beyond else at
    return fields


def _plain(raw: Any) -> Fields | None:
    """What the schema would make of it, if that is plain to see."""
    if type(raw) is not dict or not _PLAIN_KEYS.issuperset(raw):
        return None
    fields: Fields = {**raw}
    event, level = fields.get("event"), fields.setdefault("level", "info")
    if type(event) is not str or len(event) > 100 or not _PLAIN_TEXT.fullmatch(event):
        return None
    if type(level) is not str or level not in _LEVELS:
        return None
    if "value" in fields:
        value = fields["value"]
        if type(value) not in (int, float) or not -NUMBERS_END < value < NUMBERS_END:
            return None
        fields["value"] = number = float(value)
        if abs(number) == NUMBERS_END:  # the last whole numbers before it are rounded up to it
            return None
    return fields if _has_plain_rest(fields) else None


def _has_plain_rest(fields: Fields) -> bool:
    if "message" in fields:
        message = fields["message"]
        if type(message) is not str or len(message) > 2000 or not _PLAIN_TEXT.fullmatch(message):
            return False
    if "sequence" in fields:
        sequence = fields["sequence"]
        if type(sequence) is not int or not 0 <= sequence < 1 << 53:
            return False
    if "timestamp" in fields:
        timestamp = fields["timestamp"]
        if type(timestamp) is not str or not _PLAIN_TIME.fullmatch(timestamp):
            return False
        try:
            fields["timestamp"] = datetime.fromisoformat(timestamp)
        except ValueError:
            return False
    return True

"""Judging heartbeats as they come, hundreds a second.

What is plainly sound is taken at once; whatever is not is left to the schema, which says what is wrong with it or
that nothing is. A test proves that both come to the same.
"""

import re
from typing import Any

from devicehub.devices import schemas
from devicehub.devices.models import STATUSES
from devicehub.web.fields import NUMBERS_END

Told = dict[str, Any]

_PLAIN_KEYS = frozenset({"metrics", "status", "firmwareVersion"})
_PLAIN_NAME = re.compile(r"[ -#%-~][ -~]{0,99}")  # that is, not one that begins with $
_PLAIN_TEXT = re.compile(r"[!-~](?:[ -~]{0,98}[!-~])?")
_schema = schemas.HeartbeatSchema()


def judge(raw: Any) -> Told:
    """What a heartbeat tells; raises ValidationError as the schema does."""
    told = _plain(raw)
    if told is not None:
        return told
    loaded: Told = _schema.load(raw)
    return loaded


def _plain(raw: Any) -> Told | None:
    """What the schema would make of it, if that is plain to see."""
    if type(raw) is not dict or not _PLAIN_KEYS.issuperset(raw):
        return None
    told: Told = {**raw}
    if "metrics" in told and not _are_plain_metrics(told["metrics"]):
        return None
    if "status" in told and (type(told["status"]) is not str or told["status"] not in STATUSES):
        return None
    if "firmwareVersion" in told:
        version = told["firmware_version"] = told.pop("firmwareVersion")
        if type(version) is not str or not _PLAIN_TEXT.fullmatch(version):
            return None
    return told


def _are_plain_metrics(metrics: Any) -> bool:
    if type(metrics) is not dict or len(metrics) > schemas.MOST_METRICS:
        return False
    return all(
        _PLAIN_NAME.fullmatch(name) and type(number) in (int, float) and -NUMBERS_END < number < NUMBERS_END
        for name, number in metrics.items()
    )

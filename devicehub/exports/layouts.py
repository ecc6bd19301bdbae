"""How logs are written down: as CSV, long or wide, as a JSON array, or as JSON lines.

A layout is asked for its head, then for each batch of rows, then for its tail; what it gives, one after the other,
is the file. It is the hot part of an export: what is the same for many rows is made once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson
from bson import ObjectId

from devicehub.core import cells
from devicehub.logs import views

Row = Mapping[str, Any]
NameOf = Callable[[ObjectId], str]

COLUMNS = (
    "timestamp",
    "deviceId",
    "deviceName",
    "event",
    "level",
    "value",
    "message",
    "metadata",
    "sequence",
    "receivedAt",
)
_WIDE_BEFORE = ("timestamp", "deviceId", "deviceName")
# What is a cell as it stands; whatever else there is stands in quotes.
_PLAIN = re.compile(r"[^=+\-@\t\r\n\",][^\t\r\n\",]*")


class Layout(Protocol):
    """One way of writing logs down, from the first byte to the last."""

    def head(self) -> bytes: ...

    def rows(self, batch: Sequence[Row]) -> bytes: ...

    def tail(self) -> bytes: ...


class LongCsv:
    """A line for each log (RFC 4180); no spreadsheet takes a text in it for a formula."""

    def __init__(self, name_of: NameOf) -> None:
        self._device = _Once(lambda device_id: f"{device_id},{_cell(name_of(device_id))}")
        self._event = _Once(_cell)
        self._received = _Once(_time)

    def head(self) -> bytes:
        return cells.row(COLUMNS).encode()

    def rows(self, batch: Sequence[Row]) -> bytes:
        device, event, received, lines = self._device, self._event, self._received, []
        received.clear()  # many came together, but not all
        for row in batch:
            get = row.get
            value, message, metadata, sequence = get("value"), get("message"), get("metadata"), get("sequence")
            lines.append(
                f"{_time(row['at'])},{device[row['device_id']]},{event[row['event']]},{row['level']},"
                f"{'' if value is None else value},{_cell(message) if message else ''},"
                f"{_cell(orjson.dumps(metadata).decode()) if metadata else ''},"
                f"{'' if sequence is None else sequence},{received[row['received_at']]}\r\n"
            )
        return "".join(lines).encode()

    def tail(self) -> bytes:
        return b""


class WideCsv:
    """A line for each moment of a device, a column for each event: its value, else its message, else its level.

    A second log of the same event at the same moment begins another line.
    """

    def __init__(self, name_of: NameOf, events: Sequence[str]) -> None:
        self._name_of, self._events = name_of, list(events)
        self._at: tuple[ObjectId, datetime] | None = None
        self._told: dict[str, cells.Value] = {}

    def head(self) -> bytes:
        return cells.row((*_WIDE_BEFORE, *self._events)).encode()

    def rows(self, batch: Sequence[Row]) -> bytes:
        return "".join(self._lines(batch)).encode()

    def _lines(self, batch: Sequence[Row]) -> Iterable[str]:
        for row in batch:
            at = (row["device_id"], row["at"])
            if at != self._at or row["event"] in self._told:
                yield self._line()
                self._at, self._told = at, {}
            value = row.get("value")
            self._told[row["event"]] = (row.get("message") or row["level"]) if value is None else value

    def _line(self) -> str:
        if self._at is None:
            return ""
        device_id, moment = self._at
        about = (_time(moment), str(device_id), self._name_of(device_id))
        return cells.row([*about, *map(self._told.get, self._events)])

    def tail(self) -> bytes:
        return self._line().encode()


class Ndjson:
    """A line of JSON for each log, as the API shows it, with the name of its device."""

    def __init__(self, name_of: NameOf) -> None:
        self._name_of = _Once(name_of)

    def head(self) -> bytes:
        return b""

    def rows(self, batch: Sequence[Row]) -> bytes:
        return b"".join([orjson.dumps(self._shown(row), option=orjson.OPT_APPEND_NEWLINE) for row in batch])

    def _shown(self, row: Row) -> dict[str, Any]:
        return views.log(row) | {"deviceName": self._name_of[row["device_id"]]}

    def tail(self) -> bytes:
        return b""


class Json(Ndjson):
    """One array of the same."""

    _has_rows = False

    def head(self) -> bytes:
        return b"["

    def rows(self, batch: Sequence[Row]) -> bytes:
        before = b",\n" if self._has_rows else b"\n"
        self._has_rows = self._has_rows or bool(batch)
        return before + b",\n".join([orjson.dumps(self._shown(row)) for row in batch]) if batch else b""

    def tail(self) -> bytes:
        return b"\n]\n"


class _Once(dict[Any, str]):
    """What was made of each key, made when it is first asked for."""

    def __init__(self, make: Callable[[Any], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> str:
        made = self[key] = self._make(key)
        return made


def _cell(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return '"' + cells.neutral(text).replace('"', '""') + '"'


def _time(moment: datetime) -> str:
    """RFC 3339, of a time that is UTC already."""
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"

"""Pages: which part of a list, and how the whole is described.

A list that is only added to is read by cursor: each part says where the next one begins, so that what is added
meanwhile shifts nothing. A cursor is that position under our signature, good for one list only.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from devicehub.core import config, crypto

Position = tuple[int | str, ...]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: `number` from 1, `limit` rows a page."""

    number: int = 1
    limit: int = 20

    @property
    def skip(self) -> int:
        return (self.number - 1) * self.limit

    def describe(self, total: int) -> dict[str, Any]:
        """The `pagination` object of a list of `total` rows."""
        pages = -(-total // self.limit)
        return {
            "page": self.number,
            "limit": self.limit,
            "total": total,
            "pages": pages,
            "hasNext": self.number < pages,
            "hasPrev": self.number > 1,
        }


@dataclass(frozen=True, slots=True)
class Stretch(Generic[Row]):
    """A part of a cursor list, and the position of its last row if more come after it."""

    rows: Sequence[Row]
    limit: int
    end: Position | None


@dataclass(frozen=True, slots=True)
class After:
    """Which part of a cursor list: at most `limit` rows after a position, the first ones without one."""

    position: Position | None = None
    limit: int = 20

    def cut(self, rows: Sequence[Row], position_of: Callable[[Row], Position]) -> Stretch[Row]:
        """The part out of `rows`, of which one more than `limit` was asked for to see whether there is more."""
        shown = rows[: self.limit]
        return Stretch(shown, self.limit, position_of(shown[-1]) if len(rows) > self.limit else None)


def seal(position: Position, name: str) -> str:
    """The cursor of a position in the list `name`."""
    content = base64.urlsafe_b64encode(orjson.dumps(position)).rstrip(b"=").decode()
    return f"{content}.{_mac(config.current().jwt_secret, name, content)}"


def unseal(cursor: str, name: str) -> Position | None:
    """The position of a cursor that `seal` made for the list `name`, else None."""
    content, _, mac = cursor.partition(".")
    settings = config.current()
    keys = [key for key in (settings.jwt_secret, settings.jwt_secret_previous) if key]
    if not cursor.isascii() or not any(crypto.same(_mac(key, name, content), mac) for key in keys):
        return None
    return tuple(orjson.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))))


def _mac(key: str, name: str, content: str) -> str:
    return crypto.mac(key, "cursor", name, content)[:22]

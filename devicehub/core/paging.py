"""Pages: which part of a list, and how the whole is described."""

from dataclasses import dataclass
from typing import Any


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

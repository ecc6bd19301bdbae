"""Pages, at the edge."""

from collections.abc import Sequence
from typing import Any

from devicehub.core import paging
from devicehub.core.errors import InvalidInput
from devicehub.core.paging import After, Page, Stretch
from devicehub.web.schemas import Schema


def take_page(query: dict[str, Any]) -> Page:
    """Take the page out of a query that `PageQuerySchema` loaded; what stays are the filters."""
    return Page(query.pop("page"), query.pop("limit"))


def take_cursor(query: dict[str, Any], *of: str) -> After:
    """Take the cursor out of a query that `CursorQuerySchema` loaded; what stays are the filters.

    `of` names the list (`"audit", organization_id`). Raises InvalidInput for a cursor that was not given for it.
    """
    limit, cursor = query.pop("limit"), query.pop("cursor", None)
    if cursor is None:
        return After(limit=limit)
    position = paging.unseal(cursor, ":".join(of))
    if position is None:
        raise InvalidInput(errors={"cursor": ["Not a cursor of this list."]})
    return After(position, limit)


def cursor_list(stretch: Stretch[Any], *of: str) -> dict[str, Any]:
    """A part of the list that `of` names, as `cursor_envelope` shows it."""
    cursor = None if stretch.end is None else paging.seal(stretch.end, ":".join(of))
    return {"items": stretch.rows, "pagination": {"limit": stretch.limit, "next_cursor": cursor}}


def enveloped(schema: type[Schema], rows: Sequence[Any], total: int, page: Page) -> dict[str, Any]:
    """One page of a list, as `envelope(schema)` documents it."""
    return {"items": schema(many=True).dump(rows), "pagination": page.describe(total)}

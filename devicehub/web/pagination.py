"""Pages, at the edge."""

from typing import Any

from devicehub.core.paging import Page


def take_page(query: dict[str, Any]) -> Page:
    """Take the page out of a query that `PageQuerySchema` loaded; what stays are the filters."""
    return Page(query.pop("page"), query.pop("limit"))

"""Pages, at the edge."""

from typing import Any

from devicehub.core.paging import Page


def take_page(query: dict[str, Any]) -> Page:
    """Take the page out of a query that `PageQuerySchema` loaded; what stays are the filters."""
    limit, alias = query.pop("limit"), query.pop("per_page", None)
    return Page(query.pop("page"), alias or limit)

"""What the tests of the audit trail share."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from devicehub.audit.models import AuditEntry
from devicehub.core.actor import Actor

Row = dict[str, Any]
Trail = Callable[..., list[Row]]


@pytest.fixture
def trail() -> Trail:
    """What is stored of an organization's trail, oldest first: all of it, or one action's."""

    def read(actor: Actor, action: str | None = None) -> list[Row]:
        wanted: Row = {"organization_id": ObjectId(actor.organization_id)} | ({"action": action} if action else {})
        return list(AuditEntry._get_collection().find(wanted).sort("sequence"))

    return read

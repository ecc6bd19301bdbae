"""What the tests of the edge share."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from devicehub.auth import standing
from devicehub.core import clock, logging
from devicehub.core.config import Settings
from devicehub.organizations.models import Member, Organization
from tests.factories import Account, log_in, make_account


@pytest.fixture
def logged(app: Flask, settings: Settings, tmp_path: Path) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """What the process has logged since the test began; of one event if it is named: `logged("request")`."""
    path = tmp_path / "log"
    logging.setup(settings.model_copy(update={"log_file": path, "log_level": "INFO"}))

    def read(event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in lines if event in (None, line["event"])]

    yield read
    logging.setup(settings)


@pytest.fixture
def in_another_organization() -> Callable[[Account], Account]:
    """The same person, active in an organization of somebody else's that they have joined as an admin."""

    def join(account: Account) -> Account:
        member = Member(user_id=ObjectId(account.actor.user_id), role="admin", joined_at=clock.now())
        theirs = ObjectId(make_account().actor.organization_id)
        Organization.objects(id=theirs).update_one(push__members=member)
        Organization.objects(id=ObjectId(account.actor.organization_id)).update_one(
            pull__members__user_id=member.user_id
        )
        standing.forget_user(account.actor.user_id)
        return log_in(account.email)

    return join

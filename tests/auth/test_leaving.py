"""Who has left an organization: nothing of theirs lives on in it, and it hears no more of them."""

from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from devicehub.audit.models import AuditEntry
from devicehub.auth import api_keys, email_change
from devicehub.mail.models import Mail
from devicehub.organizations import invitations, members
from tests.auth.test_routes import refresh
from tests.factories import PASSWORD, invite, join, make_account
from tests.jobs.inline import run_due_jobs
from tests.organizations.test_members import member_of
from tests.web.refusals import refused


def test_who_comes_back_finds_their_old_keys_dead_and_keeps_their_new_ones(app: Flask) -> None:
    """The worker is away, or busy, from when they leave until they are back."""
    owner, ada, anyone = make_account(), make_account(), app.test_client()
    there = replace(ada.actor, organization_id=owner.actor.organization_id, role="viewer")

    def status(key: str) -> int:
        return anyone.get("/api/devices", headers={"X-API-Key": key}).status_code

    invitations.accept(ada.actor, invite(owner.actor, ada.email))
    _, old = api_keys.create(there, name="old", scopes=["devices:read"])
    assert status(old) == 200
    members.remove(owner.actor, ada.actor.user_id)
    assert status(old) == 401
    invitations.accept(ada.actor, invite(owner.actor, ada.email))
    assert status(old) == 401
    _, new = api_keys.create(there, name="new", scopes=["devices:read"])
    run_due_jobs()
    assert (status(old), status(new)) == (401, 200)


@pytest.mark.parametrize("elsewhere", [True, False])
@pytest.mark.parametrize("how", ["logout", "reuse", "address"])
def test_an_organization_hears_no_more_of_them(
    client: FlaskClient, clock: Any, told: Any, logged: Any, elsewhere: bool, how: str
) -> None:
    owner = make_account()
    ada = member_of(owner, "viewer")
    if elsewhere:
        join(ada, make_account().actor.organization_id, role="viewer")
    email_change.ask(ada.actor, email="new@example.com", current_password=PASSWORD)
    link = Mail.objects(kind="email_change").first().data["token"]
    if how == "reuse":
        refresh(client, ada.refresh_token)
        clock(11)
    members.remove(owner.actor, ada.actor.user_id)
    trail = AuditEntry.objects(organization_id=ObjectId(owner.actor.organization_id))
    before = trail.count()
    if how == "reuse":
        refused(refresh(client, ada.refresh_token), 401, "REFRESH_TOKEN_REUSED")
    elif how == "logout":
        assert client.post("/api/auth/logout", json={"refreshToken": ada.refresh_token}).status_code == 204
    else:
        assert client.post("/api/auth/email/confirm", json={"token": link}).status_code == 200
    assert [(one.action, one.ip) for one in trail.order_by("sequence")][before:] == []
    assert {event.name for event in told} & {"session.ended", "user.email_changed"}
    assert [line for line in logged() if line["level"] == "error"] == []


def test_a_refresh_that_is_refused_for_belonging_to_none_uses_no_token_up(client: FlaskClient, clock: Any) -> None:
    owner = make_account()
    ada = member_of(owner, "viewer")
    members.remove(owner.actor, ada.actor.user_id)
    refused(refresh(client, ada.refresh_token), 403, "NOT_A_MEMBER")
    clock(11)
    refused(refresh(client, ada.refresh_token), 403, "NOT_A_MEMBER")
    assert Mail.objects(kind="refresh_reused").count() == 0

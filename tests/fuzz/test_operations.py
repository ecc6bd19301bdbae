"""Schemathesis against a running server: every operation, asked soundly and unsoundly, keeps to the document."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from bson import ObjectId
from schemathesis import Case
from schemathesis.checks import load_all_checks
from schemathesis.core.transport import Response
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection

from devicehub.auth import api_keys
from devicehub.auth import service as auth
from devicehub.core import mongo
from devicehub.devices import keys as device_keys
from devicehub.devices.errors import DeviceNotFound
from devicehub.organizations import deletions, invitations
from devicehub.organizations import service as organizations
from tests.factories import PASSWORD, Account, Ids, email_token, invite, make_account, make_device
from tests.fuzz.conftest import Document

TAGS = {"audit", "auth", "users", "organizations", "devices", "monitoring", "realtime"}
ENDING = {
    "POST /api/auth/refresh",
    "POST /api/auth/logout",
    "POST /api/auth/logout-all",
    "POST /api/auth/revoke",
    "POST /api/auth/email/change",  # ends nothing, but may be asked for five times an hour
}
CREATING = {
    "POST /api/organizations",
    "POST /api/auth/api-keys",
    "POST /api/devices",
    "POST /api/devices/batch",
    "POST /api/devices/{device_id}/keys",
}
# What tells how many of its parts were refused.
BATCHES = {"POST /api/devices/batch": "failed", "POST /api/devices/heartbeats": "rejected"}

# Of the document's examples. Its address and password are those of Ada, who exists.
REFRESH_TOKEN = "dhr1.65f0....0.b1f..."
EMAIL_TOKEN = "dhe_65f0..._3Xl..."
INVITATION_TOKEN = "dhi_kJ0VbZ1nqk4u..."
REAL_IDS = re.compile("[0-7][0-9a-fA-F]{23}")


def prepared(case: Case, account: Account) -> Account:
    """Let nothing that cases before it did stand in its way; for what ends tokens, the caller is somebody new.

    A key of idempotency serves one body, a serial number one device, and other keys there may be only so many of.
    """
    if case.operation.label in CREATING:
        for name in ("idempotency_keys", "devices", "device_keys", "api_keys"):
            mongo.database()[name].delete_many({})
    return make_account(platform_admin=True) if case.operation.label in ENDING else account


def spare_organization(caller: Account, _: Ids) -> str:
    return str(organizations.create(owner_id=ObjectId(caller.actor.user_id), name="Spare").id)


def receipt(caller: Account, ids: Ids) -> str:
    spare = organizations.require(caller.actor, spare_organization(caller, ids))
    return str(deletions.delete(spare)["receipt_id"])


def api_key(caller: Account, _: Ids) -> str:
    mongo.database()["api_keys"].delete_many({})  # there may be only so many
    return str(api_keys.create(caller.actor, name="One", scopes=["logs:read"])[0].id)


def device_key(caller: Account, ids: Ids) -> str:
    """Of the device before it in the path, if that is real."""
    try:
        return str(device_keys.create(caller.actor, ids["device_id"])[0].id)
    except DeviceNotFound:
        return ids["key_id"]


REAL: dict[str, Callable[[Account, Ids], str]] = {
    "device_id": lambda caller, _: str(make_device(caller.actor)["id"]),
    "key_id": device_key,
    "api_key_id": api_key,
    "organization_id": lambda caller, _: caller.actor.organization_id,
    "user_id": lambda caller, _: (
        make_account(role="viewer", organization_id=caller.actor.organization_id).actor.user_id
    ),
    "invitation_id": lambda caller, _: str(
        invitations.create(caller.actor, email="g@example.com", role="viewer")["id"]
    ),
    "receipt_id": receipt,
}


def made_real(case: Case, caller: Account) -> None:
    """Put what exists where the document's examples stand, and where half of all well-formed ids do."""
    ends_it = case.operation.label == "DELETE /api/organizations/{organization_id}"
    real = REAL | ({"organization_id": spare_organization} if ends_it else {})
    for name, value in case.path_parameters.items():
        if REAL_IDS.fullmatch(str(value)):
            case.path_parameters[name] = real[name](caller, case.path_parameters)
    if isinstance(case.body, dict) and case.body.get("token") == INVITATION_TOKEN:
        case.body["token"] = invite(make_account().actor, caller.email)
    for name in ("refreshToken", "token"):
        if isinstance(case.body, dict) and case.body.get(name) == REFRESH_TOKEN:
            case.body[name] = caller.refresh_token
    if isinstance(case.body, dict) and case.body.get("token") == EMAIL_TOKEN:
        case.body["token"] = email_token(make_account())


def refused_one_by_one(case: Case, response: Response) -> bool:
    """Whether it is a batch, which is accepted whatever its parts are, and some of them are not."""
    refusals = BATCHES.get(case.operation.label)
    is_batch = refusals is not None and response.request.method == "POST"
    return is_batch and response.status_code == 200 and response.json()[refusals] > 0


def campaign(operation: APIOperation, check: Callable[[Case], None]) -> Callable[[], None]:
    """All that schemathesis has against one operation: its examples, every edge of its schemas, and chance.

    What `schemathesis.pytest.from_fixture` would do, did it know pytest 9.2.
    """
    config = operation.schema.config
    test: Callable[[], None] = build_operation_test(
        config=config, operation=operation, test_func=check, given_kwargs={}, feedback=FeedbackSources()
    )
    return test


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def operations_of(schema: BaseSchema, *tags: str) -> list[APIOperation]:
    every = [operation.ok() for operation in schema.get_all_operations()]
    return [operation for operation in every if {*tags}.issuperset(operation.tags)]


def test_every_operation_has_one_of_the_tags(document: Document) -> None:
    schema = document(few=1)
    assert len(operations_of(schema, *TAGS)) == len(list(schema.get_all_operations()))


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("tag", sorted(TAGS))
def test_every_operation_keeps_to_the_document(
    document: Document, account: Account, session: requests.Session, subtests: pytest.Subtests, tag: str
) -> None:
    """No server error, no status, type or header that is not documented, no body that is not of its schema; sound
    requests are served and unsound ones refused, also without a token or with a made-up one, or by another method.
    """
    load_all_checks()
    auth.sign_up(name="Ada Lovelace", email="ada@example.com", password=PASSWORD)
    succeeded: Counter[str] = Counter()

    def check(case: Case) -> None:
        label = case.operation.label
        caller = prepared(case, account)
        made_real(case, caller)
        how: dict[str, Any] = {"headers": caller.headers, "session": session}
        response = case.call(**how)
        excluded = [ignored_auth] if succeeded[label] else []  # asked without a token, and with another, once
        excluded += [negative_data_rejection] if refused_one_by_one(case, response) else []
        case.validate_response(response, headers=caller.headers, transport_kwargs=how, excluded_checks=excluded)
        is_served = response.status_code < 300 and response.request.method == case.operation.method.upper()
        succeeded[label] += is_served

    for operation in operations_of(document(few=10), tag):
        with subtests.test(operation.label):
            campaign(operation, check)()
            assert succeeded[operation.label] > 0, "it never succeeded"

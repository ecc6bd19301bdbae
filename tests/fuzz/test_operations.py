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
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.generation.meta import CoverageScenario, coverage_scenario
from schemathesis.generation.overrides import Override
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection

from devicehub.analytics.schemas import TWO_IDS
from devicehub.auth import api_keys, resets
from devicehub.auth import service as auth
from devicehub.core import mongo
from devicehub.core.actor import SYSTEM
from devicehub.devices import keys as device_keys
from devicehub.devices.errors import DeviceNotFound
from devicehub.jobs import service as jobs
from devicehub.organizations import deletions, invitations
from devicehub.organizations import service as organizations
from devicehub.webhooks import service as webhooks
from devicehub.webhooks.errors import WebhookNotFound
from tests.factories import (
    PASSWORD,
    Account,
    Ids,
    email_token,
    invite,
    make_account,
    make_code,
    make_device,
    make_export,
    make_import,
    make_notification,
    make_schedule,
    make_webhook,
)
from tests.fuzz.conftest import CAMPAIGN, Document

# In one process: what of the document has been resolved, and values found for its schemas, serves all operations.
pytestmark = pytest.mark.xdist_group("fuzz")

# Of the edges of the schemas the suite sends one in so many of each kind, `make fuzz` all. Some kinds make up three
# quarters of them; and the plain ones are always sent. Primes, or of what comes in turns the same would always be sent.
EVERY, EVERY_COMMON = 5, 13
FEW = 2  # made by chance, of each operation
COMMON = {
    CoverageScenario.INCORRECT_TYPE,
    CoverageScenario.VALID_OBJECT,
    CoverageScenario.UNSPECIFIED_HTTP_METHOD,
    CoverageScenario.OBJECT_REQUIRED_AND_OPTIONAL,
}
PLAIN = {CoverageScenario.DEFAULT_POSITIVE_TEST, CoverageScenario.OBJECT_ONLY_REQUIRED}
TAGS = {
    "audit", "jobs", "auth", "passwords", "users", "organizations", "devices", "logs", "imports", "notifications",
    "analytics", "reports", "exports", "device_exports", "monitoring", "realtime", "webhooks",
}  # fmt: skip
ENDING = {
    "POST /api/auth/refresh",
    "POST /api/auth/switch-organization",
    "POST /api/auth/logout",
    "POST /api/auth/logout-all",
    "POST /api/auth/revoke",
    "POST /api/auth/password/change",
    "POST /api/auth/password/verify-otp",
    "POST /api/auth/password/reset",
    "DELETE /api/auth/sessions/{session_id}",
    "POST /api/auth/email/change",  # ends nothing, but may be asked for five times an hour
}
CREATING = {
    "POST /api/organizations",
    "POST /api/auth/api-keys",
    "POST /api/devices",
    "POST /api/devices/batch",
    "POST /api/devices/{device_id}/keys",
    "POST /api/reports/schedules",
    "POST /api/export/jobs",
    "POST /api/reports/schedules/{schedule_id}/run",
    "POST /api/webhooks",
    "POST /api/logs/import",
}
# What tells how many of its parts were refused.
BATCHES = {"POST /api/devices/batch": "failed", "POST /api/devices/heartbeats": "rejected",
           "POST /api/devices/{device_id}/logs": "rejected", "POST /api/logs/import": "rejected"}  # fmt: skip

# Of the document's examples. Its address and password are those of Ada, who exists.
REFRESH_TOKEN = "dhr1.65f0....0.b1f..."
CHALLENGE_ID = "nJ2cTq0bQyKc1mYwqz3b7A"
RESET_TOKEN = "dhp1.65f0....0.1790000000.9d3..."
ORGANIZATION_ID = "65f0a1b2c3d4e5f6a7b8c9d1"
EMAIL_TOKEN = "dhe_65f0..._3Xl..."
INVITATION_TOKEN = "dhi_kJ0VbZ1nqk4u..."
REAL_IDS = re.compile("[0-7][0-9a-fA-F]{23}")


def prepared(case: Case, account: Account) -> Account:
    """Let nothing that cases before it did stand in its way; for what ends tokens, the caller is somebody new.

    A key of idempotency serves one body, a serial number one device, and other keys there may be only so many of.
    """
    if case.operation.label in CREATING:
        for name in ("idempotency_keys", "devices", "device_keys", "api_keys", "report_schedules", "webhooks"):
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


def schedule(caller: Account, _: Ids) -> str:
    mongo.database()["report_schedules"].delete_many({})  # there may be only so many
    return make_schedule(caller.actor)


def webhook(caller: Account, _: Ids) -> str:
    mongo.database()["webhooks"].delete_many({})  # there may be only so many
    return make_webhook(caller.actor)


def delivery(caller: Account, ids: Ids) -> str:
    """Of the webhook before it in the path, if that is real."""
    try:
        return str(webhooks.ping(caller.actor, ids["webhook_id"]).id)
    except WebhookNotFound:
        return ids["delivery_id"]


def cancelled_job(caller: Account, _: Ids) -> str:
    return str(jobs.cancel(SYSTEM, jobs.enqueue("jobs.nonesuch", actor=caller.actor)).id)


REAL: dict[str, Callable[[Account, Ids], str]] = {
    "device_id": lambda caller, _: str(make_device(caller.actor)["id"]),
    "key_id": device_key,
    "api_key_id": api_key,
    "webhook_id": webhook,
    "delivery_id": delivery,
    "organization_id": lambda caller, _: caller.actor.organization_id,
    "user_id": lambda caller, _: (
        make_account(role="viewer", organization_id=caller.actor.organization_id).actor.user_id
    ),
    "invitation_id": lambda caller, _: str(
        invitations.create(caller.actor, email="g@example.com", role="viewer")["id"]
    ),
    "receipt_id": receipt,
    "session_id": lambda caller, _: str(caller.actor.session_id),
    "job_id": lambda caller, _: jobs.enqueue("jobs.nonesuch", actor=caller.actor),
    "notification_id": lambda caller, _: make_notification(caller),
    "schedule_id": schedule,
    "export_id": lambda caller, _: make_export(caller.actor),
    "import_id": lambda caller, _: make_import(caller.actor),
}
# What stands in the place of these, where the others would be refused.
REAL_FOR: dict[str, dict[str, Callable[[Account, Ids], str]]] = {
    "DELETE /api/organizations/{organization_id}": {"organization_id": spare_organization},
    "POST /api/admin/jobs/{job_id}/retry": {"job_id": cancelled_job},
    "POST /api/export/jobs/{export_id}/cancel": {
        "export_id": lambda caller, _: make_export(caller.actor, made=False)
    },
}


def made_real(case: Case, caller: Account) -> None:
    """Put what exists where the document's examples stand, and where half of all well-formed ids do."""
    real = REAL | REAL_FOR.get(case.operation.label, {})
    for name, value in case.path_parameters.items():
        if REAL_IDS.fullmatch(str(value)):
            case.path_parameters[name] = real[name](caller, case.path_parameters)
    if (case.query or {}).get("devices") == TWO_IDS:
        case.query["devices"] = ",".join(str(make_device(caller.actor)["id"]) for _ in range(2))
    if isinstance(case.body, dict):
        case.body |= in_place_of_examples(case.body, caller)


def in_place_of_examples(body: dict[str, Any], caller: Account) -> dict[str, Any]:
    """What of a body there really is."""
    real: dict[str, Any] = {
        name: caller.refresh_token for name in ("refreshToken", "token") if body.get(name) == REFRESH_TOKEN
    }
    if body.get("token") == INVITATION_TOKEN:
        real["token"] = invite(make_account().actor, caller.email)
    if body.get("token") == EMAIL_TOKEN:
        real["token"] = email_token(make_account())
    if body.get("organizationId") == ORGANIZATION_ID:
        real["organizationId"] = caller.actor.organization_id
    if body.get("challengeId") == CHALLENGE_ID:
        real["challengeId"], real["otp"] = make_code(caller.email)
    if body.get("resetToken") == RESET_TOKEN:
        real["resetToken"] = resets.verify(*make_code(caller.email))
    return real


def refused_one_by_one(case: Case, response: Response) -> bool:
    """Whether it is a batch, which is accepted whatever its parts are, and some of them are not."""
    refusals = BATCHES.get(case.operation.label)
    is_batch = refusals is not None and response.request.method == "POST" and response.status_code < 300
    return is_batch and bool(response.json().get(refusals))


def campaign(operation: APIOperation, check: Callable[[Case], None]) -> Callable[[], None]:
    """What schemathesis has against one operation: its examples, chance, and, if asked, every edge of its schemas.

    What `schemathesis.pytest.from_fixture` does for all of them, for one at a time.
    """
    config = operation.schema.config
    test: Callable[[], None] = build_operation_test(
        config=config, operation=operation, test_func=check, given_kwargs={}, feedback=FeedbackSources()
    )
    return test


def some_edges(operation: APIOperation, seen: Counter[Any]) -> Iterator[Case]:
    """Of the edges of an operation: the plain ones, and one in so many of each other kind.

    They are generated beside the campaign, which would make an example for Hypothesis of each of thousands.
    """
    generation = operation.schema.config.generation_for(operation=operation, phase="coverage")
    edges = CoverageGenerator(
        operation=operation,
        generation_modes=generation.modes,
        generation_config=generation,
        auth_storage=None,
        override=Override(),
        feedback=FeedbackSources(),
    )
    for edge in edges:
        kind = coverage_scenario(edge)
        if kind in PLAIN or seen[kind] % (EVERY_COMMON if kind in COMMON else EVERY) == 0:
            yield edge
        seen[kind] += 1  # of all operations, or of each the same few would be sent


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False  # or each request looks through the environment for proxies
        yield opened


def operations_of(schema: BaseSchema, *tags: str) -> list[APIOperation]:
    every = [operation.ok() for operation in schema.get_all_operations()]
    return [operation for operation in every if {*tags}.issuperset(operation.tags)]


def test_every_operation_has_one_of_the_tags(document: Document) -> None:
    schema = document(few=FEW)
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
        session.cookies.clear()
        made_real(case, caller)
        how: dict[str, Any] = {"headers": caller.headers, "session": session}
        response = case.call(**how)
        excluded = [ignored_auth] if succeeded[label] else []  # asked without a token, and with another, once
        excluded += [negative_data_rejection] if refused_one_by_one(case, response) else []
        case.validate_response(response, headers=caller.headers, transport_kwargs=how, excluded_checks=excluded)
        is_served = response.status_code < 300 and response.request.method == case.operation.method.upper()
        succeeded[label] += is_served

    seen = Counter[Any]()
    for operation in operations_of(document(few=FEW), tag):
        with subtests.test(operation.label):
            for edge in [] if CAMPAIGN else some_edges(operation, seen):
                check(edge)
            campaign(operation, check)()
            assert succeeded[operation.label] > 0, "it never succeeded"

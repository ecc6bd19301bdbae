"""Everybody's jobs, from outside: for platform admins only."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from devicehub.audit.models import AuditEntry
from devicehub.core import clock as system_clock
from devicehub.core.actor import SYSTEM
from devicehub.jobs import service as jobs
from devicehub.jobs.models import Job
from devicehub.jobs.schemas import JobSchema
from tests.conftest import holding
from tests.factories import Account, make_account
from tests.jobs.inline import run_job
from tests.web.refusals import refused

JOBS = "/api/admin/jobs"
UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"
VERBS = [("GET", ""), ("GET", "/{id}"), ("POST", "/{id}/retry"), ("POST", "/{id}/cancel"), ("POST", "/retry")]
ClientOf = Callable[..., FlaskClient]

pytestmark = pytest.mark.usefixtures("app", "deeds")


@pytest.fixture(autouse=True)
def _no_jobs_but_ours(app: Flask) -> Iterator[None]:
    """A process that other tests have started may ask for those of every day."""
    with holding("job-scheduler", "this test"):
        yield


@pytest.fixture
def job_id() -> str:
    """A job of somebody else's."""
    return jobs.enqueue("tests.note", {"text": "private"}, actor=make_account().actor)


def dead(name: str = "tests.despair", **how: Any) -> str:
    """A job that was given up."""
    job_id = jobs.enqueue(name, {}, **how)
    assert run_job(job_id).dead
    return job_id


def ids(client: FlaskClient, **query: Any) -> list[str]:
    answer = client.get(JOBS, query_string=query)
    assert answer.status_code == 200, answer.json
    return [job["id"] for job in answer.json["items"]]


def acts(account: Account) -> list[tuple[str, str | None, str]]:
    """What the trail of a platform admin's organization holds about jobs."""
    entries = AuditEntry.objects.visible_to(account.actor).order_by("sequence")
    return [(entry.action, entry.target, entry.outcome) for entry in entries if entry.action.startswith("job")]


@pytest.mark.parametrize(("method", "path"), VERBS)
def test_a_stranger_is_told_nothing(client: FlaskClient, job_id: str, method: str, path: str) -> None:
    refused(client.open(JOBS + path.format(id=job_id), method=method), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("role", ["viewer", "owner"])
@pytest.mark.parametrize(("method", "path"), VERBS)
def test_nor_is_whoever_is_no_platform_admin_even_of_a_job_of_their_own(
    client_of: ClientOf, role: Any, method: str, path: str
) -> None:
    account = make_account(role=role)
    own = jobs.enqueue("tests.note", actor=account.actor)
    refused(client_of(account).open(JOBS + path.format(id=own), method=method), 403, "FORBIDDEN")
    assert jobs.get(SYSTEM, own).status == "pending"


@pytest.mark.actor(platform_admin=True)
def test_an_unknown_job_is_not_found(client: FlaskClient) -> None:
    for method, path in VERBS[1:4]:
        for odd in (UNKNOWN, "x"):
            refused(client.open(JOBS + path.format(id=odd), method=method), 404, "JOB_NOT_FOUND")
    refused(client.get(f"{JOBS}/retry"), 405)


@pytest.mark.actor(platform_admin=True)
def test_a_job_is_shown_without_its_arguments(client: FlaskClient, job_id: str) -> None:
    answer = client.get(f"{JOBS}/{job_id}")
    assert set(answer.json) == {field.data_key for field in JobSchema().dump_fields.values()}
    assert (answer.json["name"], answer.json["status"], answer.json["dead"]) == ("tests.note", "pending", False)
    assert answer.json["organizationId"] == str(jobs.get(SYSTEM, job_id).organization_id)
    assert "private" not in answer.text


@pytest.mark.actor(platform_admin=True)
def test_they_are_listed_newest_first_whosever_they_are_and_in_parts(client: FlaskClient) -> None:
    made = [jobs.enqueue("tests.note", actor=make_account().actor) for _ in range(3)]
    first = client.get(JOBS, query_string={"limit": 2}).json
    assert [job["id"] for job in first["items"]] == [made[2], made[1]]
    jobs.enqueue("tests.note")
    assert ids(client, cursor=first["pagination"]["nextCursor"]) == [made[0]]
    refused(client.get(f"{JOBS}?cursor=nonsense"), 422, "VALIDATION_ERROR")


@pytest.mark.actor(platform_admin=True)
def test_they_are_found_by_status_name_organization_and_time(client: FlaskClient, clock: Any) -> None:
    ada = make_account().actor
    hers = jobs.enqueue("tests.note", actor=ada)
    gone = dead()
    clock(60)
    later = system_clock.rfc3339(system_clock.now())
    last = jobs.enqueue("tests.stumble")
    assert ids(client, status="failed") == [gone]
    assert ids(client, name="tests.stumble") == [last]
    assert ids(client, organizationId=ada.organization_id) == [hers]
    assert ids(client, organizationId="x") == []
    assert ids(client, dead="true") == [gone]
    assert ids(client, dead="false") == [last, hers]
    assert ids(client, **{"from": later}) == [last]
    assert ids(client, to=later) == [gone, hers]
    refused(client.get(f"{JOBS}?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"), 422, "INVALID_DATE_RANGE")


@pytest.mark.actor(platform_admin=True)
def test_one_is_called_off_and_begins_anew_and_the_trail_says_so(
    client: FlaskClient, account: Account, job_id: str
) -> None:
    refused(client.post(f"{JOBS}/{job_id}/retry"), 409, "JOB_IS_NOT_OVER")
    assert client.post(f"{JOBS}/{job_id}/cancel").json["status"] == "cancelled"
    refused(client.post(f"{JOBS}/{job_id}/cancel"), 409, "JOB_IS_OVER")
    assert client.post(f"{JOBS}/{job_id}/retry").json["status"] == "pending"
    assert run_job(job_id).status == "completed"
    assert acts(account) == [
        ("job.retried", job_id, "intended"), ("job.retried", job_id, "failed"),
        ("job.cancelled", job_id, "intended"), ("job.cancelled", job_id, "done"),
        ("job.cancelled", job_id, "intended"), ("job.cancelled", job_id, "failed"),
        ("job.retried", job_id, "intended"), ("job.retried", job_id, "done"),
    ]  # fmt: skip


@pytest.mark.actor(platform_admin=True)
def test_dead_letters_begin_anew_together_the_oldest_first_and_only_so_many(
    client: FlaskClient, account: Account
) -> None:
    first, second, third = dead(), dead(), dead()
    cancelled = str(jobs.cancel(SYSTEM, jobs.enqueue("tests.despair")).id)
    assert client.post(f"{JOBS}/retry", json={"limit": 2}).json == {"retried": 2, "hasMore": True}
    assert [Job.objects(id=one).get().status for one in (first, second, third)] == ["pending", "pending", "failed"]
    assert client.post(f"{JOBS}/retry").json == {"retried": 1, "hasMore": False}
    assert client.post(f"{JOBS}/retry").json == {"retried": 0, "hasMore": False}
    assert Job.objects(id=cancelled).get().status == "cancelled"
    assert acts(account)[:4] == [
        ("jobs.retried", None, "intended"), ("job.retried", first, "done"),
        ("job.retried", second, "done"), ("jobs.retried", None, "done"),
    ]  # fmt: skip


@pytest.mark.actor(platform_admin=True)
def test_they_are_chosen_as_they_are_listed(client: FlaskClient) -> None:
    ada = make_account().actor
    hers, nobodys, other = dead(actor=ada), dead(), dead("jobs.nonesuch")
    assert client.post(f"{JOBS}/retry", json={"organizationId": ada.organization_id}).json["retried"] == 1
    assert client.post(f"{JOBS}/retry", json={"name": "jobs.nonesuch"}).json["retried"] == 1
    assert [jobs.get(SYSTEM, one).status for one in (hers, nobodys, other)] == ["pending", "failed", "pending"]
    refused(client.post(f"{JOBS}/retry", json={"limit": 501}), 422, "VALIDATION_ERROR")

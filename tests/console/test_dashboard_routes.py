"""RQ's dashboard: everything of it for platform admins alone, and nothing it does loses a job."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from devicehub.audit.models import AuditEntry
from devicehub.core import queue, redis
from devicehub.core.actor import SYSTEM
from devicehub.jobs import service as jobs
from devicehub.jobs import sweeping
from devicehub.web import openapi
from tests.conftest import Servers, holding, wait_until
from tests.console.conftest import OURS
from tests.factories import Account
from tests.jobs.conftest import deeds  # noqa: F401 - a fixture
from tests.jobs.inline import run_job
from tests.web.refusals import refused

PAGES = [
    "/rq",
    "/rq/",
    "/rq/0/",
    "/rq/0/view",
    "/rq/0/view/queues",
    "/rq/0/view/workers",
    "/rq/0/view/jobs",
    "/rq/0/view/jobs/devicehub/queued/8/asc/1",
    "/rq/0/view/job/{id}",
]
READS = [
    "/rq/0/data/queues.json",
    "/rq/0/data/workers.json",
    "/rq/0/data/jobs/devicehub/queued/8/asc/1.json",
    "/rq/0/data/job/{id}.json",
]
FILES = [
    "/rq/favicon.ico",
    "/rq/static/css/main.css",
    "/rq/static/js/jquery-3.5.1.min.js",
    "/rq/static/nothing.js",
]
POSTS = [
    "/rq/job/{id}/delete",
    "/rq/job/{id}/requeue",
    "/rq/requeue/devicehub",
    "/rq/queue/devicehub/queued/empty",
    "/rq/queue/devicehub/compact",
]
FOREIGN = [None, "null", "https://evil.example", "http://localhost:5001"]

pytestmark = pytest.mark.usefixtures("app", "deeds")


@pytest.fixture(autouse=True)
def alone(app: Flask) -> Iterator[None]:
    """Keep the sweeper of a server that another test has started out of the way."""
    with holding("job-sweeper", "this test"):
        yield


@pytest.fixture
def job_id() -> str:
    return jobs.enqueue("tests.note", {"text": "private"})


def entries() -> list[str]:
    found: list[str] = redis.current().call(lambda client: queue.queue(client).get_job_ids())
    return found


def fail(job_id: str) -> None:
    """As the worker leaves an entry whose process died."""
    client = redis.current().client
    entry = queue.queue(client).fetch_job(job_id)
    assert entry
    queue.queue(client).remove(job_id)
    entry.set_status("failed")
    entry.failed_job_registry.add(entry, ttl=-1, exc_string="Work-horse terminated", pipeline=None)


def test_every_rule_is_named_here(app: Flask) -> None:
    """So that what another version of rq-dashboard adds is tried, too."""
    named = [path.format(id="x") for path in PAGES + READS + FILES]
    map_ = app.url_map.bind("localhost")
    matched = {map_.match(path, method="GET", return_rule=True)[0].rule for path in named}
    matched |= {map_.match(path.format(id="x"), method="POST", return_rule=True)[0].rule for path in POSTS}
    there = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("rq_dashboard.")}
    assert there - matched == set()


def test_none_of_it_is_in_the_document() -> None:
    assert [path for path in openapi.spec().to_dict()["paths"] if path.startswith("/rq")] == []


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_gets_a_page_to_sign_in_instead(client: FlaskClient, job_id: str, path: str) -> None:
    answer = client.get(path.format(id=job_id))
    assert (answer.status_code, answer.mimetype) == (401, "text/html")
    assert "Sign in to look after the queue" in answer.text and job_id not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", READS + FILES)
def test_a_stranger_gets_nothing_else(client: FlaskClient, job_id: str, path: str) -> None:
    refused(client.get(path.format(id=job_id)), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("path", POSTS)
def test_a_stranger_changes_nothing(client: FlaskClient, job_id: str, path: str) -> None:
    refused(client.post(path.format(id=job_id), headers=OURS), 401, "AUTHENTICATION_REQUIRED")
    assert entries() == [job_id]


@pytest.mark.actor(role="owner")
def test_whoever_is_no_platform_admin_gets_and_changes_nothing(client: FlaskClient, job_id: str) -> None:
    for path in PAGES:
        page = client.get(path.format(id=job_id))
        assert (page.status_code, page.mimetype) == (403, "text/html")
    for path in READS + FILES:
        refused(client.get(path.format(id=job_id)), 403, "FORBIDDEN")
    for path in POSTS:
        refused(client.post(path.format(id=job_id), headers=OURS), 403, "FORBIDDEN")
    assert entries() == [job_id]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("origin", FOREIGN)
def test_the_page_of_a_stranger_changes_nothing(
    browser: FlaskClient, job_id: str, path: str, origin: str | None
) -> None:
    headers = {"Origin": origin} if origin else {}
    refused(browser.post(path.format(id=job_id), headers=headers), 403, "FORBIDDEN")
    assert entries() == [job_id]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_changes_by_being_looked_at(browser: FlaskClient, job_id: str, method: str) -> None:
    fail(job_id)
    assert browser.open("/rq/requeue/devicehub", method=method, headers=OURS).status_code == 405
    assert entries() == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_only_the_scripts_it_was_sent_with(browser: FlaskClient, job_id: str, path: str) -> None:
    page = browser.get(path.format(id=job_id))
    assert page.status_code == 200
    policy = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    nonce = re.fullmatch(r"'nonce-([\w-]{22})'", policy["script-src"])
    assert nonce and policy["style-src"] == policy["script-src"] and policy["default-src"] == "'none'"
    scripts = re.findall(r"<script(?![^>]*text/template)[^>]*>", page.text)
    assert len(scripts) > 4
    assert all(f'nonce="{nonce[1]}"' in script for script in scripts)
    assert not re.search(r"<%|_\.template\(\$\('|\son\w+=\"|\sstyle=|nonce=\"\"", page.text)
    assert nonce[1] not in browser.get(path.format(id=job_id)).text


@pytest.mark.parametrize("path", PAGES)
def test_every_file_a_page_names_is_there(browser: FlaskClient, job_id: str, path: str) -> None:
    page = browser.get(path.format(id=job_id)).text
    for name in re.findall(r'(?:src|href)="(/rq/static/[^"]+)"', page):
        found = browser.get(name, buffered=True)
        assert found.status_code == 200, name
        again = browser.get(name, headers={"If-None-Match": found.headers["ETag"]})
        assert again.status_code == 304


def test_what_lies_in_the_queue_is_told_by_its_id_alone(browser: FlaskClient, job_id: str) -> None:
    [told] = browser.get("/rq/0/data/queues.json").json["queues"]
    assert (told["name"], told["count"]) == ("devicehub", 1)
    [entry] = browser.get("/rq/0/data/jobs/devicehub/queued/8/asc/1.json").json["jobs"]
    one = browser.get(f"/rq/0/data/job/{job_id}.json")
    assert entry["id"] == one.json["id"] == job_id and one.json["status"] == "queued"
    assert "private" not in one.text


def test_where_no_queue_is_named_ours_is_shown(browser: FlaskClient) -> None:
    assert "queue <strong>devicehub</strong>" in browser.get("/rq/0/view/jobs").text


def test_an_access_token_opens_it_as_well(client: FlaskClient, admin: Account, job_id: str) -> None:
    assert client.get("/rq/0/data/queues.json", headers=admin.headers).json["queues"][0]["count"] == 1


@pytest.mark.parametrize("path", ["/rq/job/{id}/delete", "/rq/queue/devicehub/queued/empty"])
def test_a_job_whose_entry_is_deleted_is_brought_again_and_done(
    browser: FlaskClient, job_id: str, path: str
) -> None:
    assert browser.post(path.format(id=job_id), headers=OURS).json == {"status": "OK"}
    assert entries() == [] and jobs.get(SYSTEM, job_id).status == "pending"
    sweeping.sweep()
    assert entries() == [job_id]
    assert run_job(job_id).status == "completed"


def test_an_entry_that_failed_goes_back_into_the_queue_alone_or_with_all(
    browser: FlaskClient, job_id: str
) -> None:
    for path in (f"/rq/job/{job_id}/requeue", "/rq/requeue/devicehub"):
        fail(job_id)
        assert browser.get("/rq/0/data/queues.json").json["queues"][0]["failed_job_registry_count"] == 1
        assert browser.post(path, headers=OURS).json["status"] == "OK"
        assert entries() == [job_id]
    refused(browser.post(f"/rq/job/{job_id}/requeue", headers=OURS), 409, "CONFLICT")


def test_an_entry_of_a_job_that_is_over_does_nothing_when_it_comes_again(browser: FlaskClient) -> None:
    gone = jobs.enqueue("tests.despair")
    fail(gone)
    assert run_job(gone).dead
    assert browser.post(f"/rq/job/{gone}/requeue", headers=OURS).status_code == 200
    assert run_job(gone).status == "failed" and jobs.get(SYSTEM, gone).attempts == 1


def test_the_trail_tells_who_touched_what(browser: FlaskClient, admin: Account, job_id: str) -> None:
    path = f"/rq/job/{job_id}/delete"
    browser.post(path)
    browser.post(path, headers=OURS)
    found = AuditEntry.objects.visible_to(admin.actor).filter(action="queue.touched").order_by("sequence")
    assert [(entry.target, entry.outcome) for entry in found] == [(path, "failed"), (path, "done")]


@pytest.mark.parametrize(
    "path",
    [
        "/rq/0/view/job/nonesuch",
        "/rq/1/view/queues",
        "/rq/0/view/jobs/devicehub/nonsense/8/asc/1",
        "/rq/0/view/jobs/devicehub/queued/0/asc/1",
        "/rq/0/view/nonsense",
    ],
)
def test_an_address_that_leads_nowhere_says_so(browser: FlaskClient, path: str) -> None:
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/rq/0/data/job/nonesuch.json",
        "/rq/0/data/jobs/devicehub/nonsense/8/asc/1.json",
        "/rq/0/data/jobs/devicehub/queued/0/asc/1.json",
        "/rq/0/data/jobs/devicehub/queued/x/asc/1.json",
        "/rq/0/data/jobs/devicehub/queued/8/asc/-1.json",
        "/rq/static/../web.py",
        "/rq/static/..%2fweb.py",
    ],
)
def test_so_do_data_and_files(browser: FlaskClient, path: str) -> None:
    refused(browser.get(path), 404, "NOT_FOUND")


def test_no_pickle_is_ever_opened(browser: FlaskClient, job_id: str) -> None:
    """Who may write to Redis would otherwise be able to run what they like in the api."""
    trap = b"cbuiltins\nexit\n(I7\ntR."
    redis.current().client.hset(f"rq:job:{job_id}", mapping={"meta": trap, "data": trap, "result": trap})
    redis.current().client.sadd("rq:workers", "rq:worker:trap")
    redis.current().client.hset(
        "rq:worker:trap", mapping={"current_job": job_id, "state": "busy", "queues": "devicehub"}
    )
    for path in PAGES + READS:
        browser.get(path.format(id=job_id))
    for path in POSTS:
        browser.post(path.format(id=job_id), headers=OURS)


@pytest.mark.xdist_group("outage")
def test_without_redis_it_says_so_and_comes_back(
    app: Flask, servers: Servers, browser: FlaskClient, job_id: str
) -> None:
    servers.redis.stop()
    try:
        page = browser.get("/rq")
        assert (page.status_code, page.mimetype) == (503, "text/html")
        assert "Redis does not answer" in page.text and page.headers["Retry-After"]
        refused(browser.get("/rq/0/data/queues.json"), 503, "SERVICE_UNAVAILABLE")
        refused(browser.post(f"/rq/job/{job_id}/delete", headers=OURS), 503, "SERVICE_UNAVAILABLE")
    finally:
        servers.restart_redis()
    wait_until(lambda: browser.get("/rq").status_code == 200, what="the page to be back")


def test_a_process_of_live_connections_alone_has_none_of_it(client: FlaskClient, using: Any) -> None:
    with using(devicehub_role="realtime"):
        assert client.get("/rq").status_code == 404
        refused(client.get("/rq/0/data/queues.json"), 404, "NOT_FOUND")
    with using(devicehub_role="api"):
        assert client.get("/rq").status_code == 401

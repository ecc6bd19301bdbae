"""The console, as a platform admin sees it who sits in front of it."""

import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from redis import Redis
from rq import Queue
from rq.results import Result
from rq.serializers import JSONSerializer

from devicehub.core import running
from tests.conftest import wait_until

PASSWORD = "correct horse battery"
ENTRY = "devicehub.jobs.work.run"


@pytest.fixture
def admin(url: str, folder: Path) -> str:
    """The address of a platform admin."""
    email = f"{secrets.token_hex(6)}@example.com"
    command = [
        sys.executable,
        "-m",
        "devicehub.cli",
        "create-admin",
        "--email",
        email,
        "--name",
        "Root",
        "--password-stdin",
    ]
    subprocess.run(command, cwd=folder, input=PASSWORD + "\n", text=True, check=True, capture_output=True)
    return email


@pytest.fixture
def queue(url: str, folder: Path) -> Queue:
    """A queue of its own, that no worker takes anything from."""
    client = Redis.from_url(running.environment_of(folder / "var")["REDIS_URL"])
    return Queue(f"idle-{secrets.token_hex(4)}", connection=client, serializer=JSONSerializer)


def sign_in(page: Page, email: str, password: str = PASSWORD, *, at: str = "/rq") -> None:
    page.goto(at)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def log_in(url: str, email: str) -> dict[str, str]:
    """The headers of somebody who signs in elsewhere."""
    answer = httpx.post(f"{url}/api/auth/login", json={"email": email, "password": PASSWORD}).raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


def door(page: Page) -> Locator:
    return page.get_by_role("heading", name="Sign in to look after the queue")


def address(queue: Queue, registry: str = "queued") -> str:
    return f"/rq/0/view/jobs/{queue.name}/{registry}/8/asc/1"


def test_only_platform_admins_get_in(page: Page, url: str, admin: str) -> None:
    sign_in(page, admin, "wrong horse battery")
    expect(page.get_by_role("alert")).to_have_text("The e-mail address and the password do not go together.")
    ada = f"{secrets.token_hex(6)}@example.com"
    account = {"email": ada, "password": PASSWORD, "name": "Ada Lovelace"}
    httpx.post(f"{url}/api/auth/signup", json=account).raise_for_status()
    sign_in(page, ada)
    expect(page.get_by_role("alert")).to_have_text("You are no platform admin.")
    assert page.context.cookies() == [], "and is not left signed in"
    sign_in(page, admin)
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()


def test_an_admin_sees_what_lies_in_the_queue_and_who_works_on_it(page: Page, admin: str, queue: Queue) -> None:
    entry = queue.enqueue(ENTRY, "65f0a1b2c3d4e5f6a7b8c9d2")
    sign_in(page, admin)
    row = page.locator("tr[data-role=queue]", has_text=queue.name)
    expect(row.get_by_role("link").first).to_have_text("1")
    row.get_by_role("link").first.click()
    expect(page.locator("tr[data-role=job]")).to_contain_text(f"{ENTRY}('65f0a1b2c3d4e5f6a7b8c9d2')")
    page.get_by_role("link", name=entry.id).click()
    expect(page.locator("#job-data")).to_contain_text(queue.name)
    page.get_by_role("navigation").get_by_role("link", name="Workers").click()
    expect(page.locator("tr[data-role=worker]")).to_contain_text("devicehub")


def test_entries_are_deleted_one_by_one_and_together(page: Page, admin: str, queue: Queue) -> None:
    first, second, third = (queue.enqueue(ENTRY, str(number)) for number in range(3))
    sign_in(page, admin, at=address(queue))
    row = page.locator(f"tr[data-job-id='{second.id}']")
    row.get_by_role("link", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(row).to_have_count(0)
    assert queue.get_job_ids() == [first.id, third.id]
    page.get_by_role("link", name="Empty queue").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(page.get_by_text("No jobs.")).to_be_visible()
    assert queue.get_job_ids() == []


def test_what_failed_is_told_as_it_is_and_goes_back_into_the_queue(page: Page, admin: str, queue: Queue) -> None:
    entry = queue.enqueue(ENTRY, "1")
    queue.remove(entry)
    entry.set_status("failed")
    queue.failed_job_registry.add(entry, ttl=60)
    Result.create_failure(entry, ttl=60, exc_string="in <module>\n<b>boom</b>")
    sign_in(page, admin, at=address(queue, "failed"))
    expect(page.locator("pre.exc_info")).to_have_text("in <module>\n<b>boom</b>")
    page.get_by_role("link", name=entry.id).click()
    expect(page.locator("pre.exc_info")).to_have_text("in <module>\n<b>boom</b>")
    page.get_by_role("button", name="Requeue").click()
    wait_until(lambda: queue.get_job_ids() == [entry.id], what="it to be back in the queue")
    expect(page.locator("#job-data")).to_contain_text("queued")


def test_whoever_is_signed_in_on_the_live_page_need_not_do_it_again(page: Page, admin: str) -> None:
    sign_in(page, admin, at="/live")
    expect(page.locator("#connection")).to_have_text("Live")
    page.goto("/rq")
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    cookies = {
        cookie["name"]: (cookie["path"], cookie["httpOnly"], cookie["sameSite"])
        for cookie in page.context.cookies()
    }
    assert cookies == {"dh_refresh": ("/api", True, "Strict"), "dh_console": ("/rq", True, "Strict")}


def test_who_signs_out_is_out(page: Page, admin: str) -> None:
    sign_in(page, admin)
    page.get_by_role("button", name="Sign out").click()
    expect(door(page)).to_be_visible()
    assert page.context.cookies() == []
    page.reload()
    expect(door(page)).to_be_visible()


def test_a_session_that_is_ended_elsewhere_is_shown_the_door(page: Page, url: str, admin: str) -> None:
    sign_in(page, admin)
    expect(page.locator("tr[data-role=queue], td:text('No queues.')").first).to_be_visible()
    httpx.post(f"{url}/api/auth/logout-all", headers=log_in(url, admin)).raise_for_status()
    expect(door(page)).to_be_visible()


@pytest.mark.parametrize("width", [1440, 820, 390])
def test_nothing_sticks_out_of_the_page(page: Page, admin: str, queue: Queue, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    entry = queue.enqueue(ENTRY, "65f0a1b2c3d4e5f6a7b8c9d2")
    sign_in(page, admin, at=address(queue))
    expect(page.locator("tr[data-role=job]")).to_be_visible()
    for at in ("/rq", "/rq/0/view/workers", f"/rq/0/view/job/{entry.id}", address(queue)):
        page.goto(at)
        expect(page.locator("tbody tr:not([data-role=loading-placeholder]), #job-data p").first).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") == width, at

"""`/dev/mail`: there in development only, showing what was mailed, and letting it do nothing."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.mail.smtp import Undelivered
from tests.mail.conftest import DATA, owe, work
from tests.web.refusals import refused

UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"


@pytest.fixture
def sent(app: Any) -> str:
    mail_id = owe()
    work(mail_id)
    return mail_id


def policy(answer: Any) -> dict[str, str]:
    rules = answer.headers["Content-Security-Policy"].split("; ")
    return {name: rest for name, _, rest in (rule.partition(" ") for rule in rules)}


@pytest.mark.parametrize("path", ["/dev/mail", "/dev/mail/{0}", "/dev/mail/{0}/html"])
def test_production_has_no_such_page(client: FlaskClient, sent: str, using: Any, path: str) -> None:
    assert client.get(path.format(sent)).status_code == 200
    with using(app_env="production"):
        refused(client.get(path.format(sent)), 404, "NOT_FOUND")


@pytest.mark.parametrize("odd", [UNKNOWN, "x", "%00", f"{UNKNOWN}0"])
def test_a_mail_that_is_not_there_is_not_found(client: FlaskClient, odd: str) -> None:
    refused(client.get(f"/dev/mail/{odd}"), 404, "MAIL_NOT_FOUND")
    refused(client.get(f"/dev/mail/{odd}/html"), 404, "MAIL_NOT_FOUND")


def test_an_empty_outbox_says_so(client: FlaskClient) -> None:
    assert "Nobody was mailed yet" in client.get("/dev/mail").text


def test_the_list_has_the_newest_first(client: FlaskClient, sent: str) -> None:
    later = owe("email_changed", to="bob@example.com")
    page = client.get("/dev/mail").text
    assert re.findall(r'href="/dev/mail/(\w+)"', page) == [later, sent]
    for shown in ("ada@example.com", "Your DeviceHub code", "sent", "bob@example.com", "email_changed", "pending"):
        assert shown in page


def test_a_code_can_be_read(client: FlaskClient, sent: str) -> None:
    page = client.get(f"/dev/mail/{sent}").text
    assert "493027" in page and f'src="/dev/mail/{sent}/html"' in page
    assert "493027" in client.get(f"/dev/mail/{sent}/html").text


def test_a_mail_on_its_way_says_what_keeps_it(client: FlaskClient, mailing: Any, nobody_there: str) -> None:
    mailing(nobody_there)
    mail_id = owe()
    with pytest.raises(Undelivered):
        work(mail_id)
    page = client.get(f"/dev/mail/{mail_id}").text
    assert "pending" in page and "ConnectionRefusedError" in page and "493027" not in page
    refused(client.get(f"/dev/mail/{mail_id}/html"), 404, "MAIL_NOT_FOUND")


def test_what_went_out_through_a_server_is_not_shown(client: FlaskClient, mailing: Any, sink: Any) -> None:
    mailing(sink())
    mail_id = owe()
    work(mail_id)
    page = client.get(f"/dev/mail/{mail_id}").text
    assert "is not kept" in page and "493027" not in page


def test_names_are_names_on_every_page(client: FlaskClient) -> None:
    name = "<script>alert(1)</script>"
    mail_id = owe("invitation", data=DATA["invitation"] | {"inviterName": name})
    work(mail_id)
    for path in ("/dev/mail", f"/dev/mail/{mail_id}", f"/dev/mail/{mail_id}/html"):
        page = client.get(path)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<script" not in page.text and "&lt;script&gt;" in page.text


def test_a_mail_may_do_nothing_and_stand_only_in_our_own_page(client: FlaskClient, sent: str) -> None:
    mail = client.get(f"/dev/mail/{sent}/html")
    rules = policy(mail)
    assert rules["default-src"] == "'none'" and "allow-scripts" not in rules["sandbox"]
    assert (rules["frame-ancestors"], mail.headers["X-Frame-Options"]) == ("'self'", "SAMEORIGIN")
    for path in ("/dev/mail", f"/dev/mail/{sent}"):
        page = client.get(path)
        rules = policy(page)
        assert rules["default-src"] == rules["frame-ancestors"] == "'none'" and "script-src" not in rules
        assert re.search(r'<style nonce="([\w-]+)">', page.text)[1] in rules["style-src"]  # type: ignore[index]
        assert page.headers["Cache-Control"] == "no-store"

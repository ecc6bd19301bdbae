"""`mail.send`, against a real SMTP server: once, again when it failed, and never when it is too late."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from devicehub.core import clock as system_clock
from devicehub.jobs.registry import registered
from devicehub.mail.delivery import CLAIM, TRIES, BeingSent
from devicehub.mail.models import Mail
from devicehub.mail.smtp import Undelivered
from tests.mail.conftest import DATA, kept, owe, work
from tests.mail.sink import Sink

Start = Callable[..., Sink]
Mailing = Callable[..., None]


@pytest.mark.parametrize("kind", ["otp", "invitation"])
def test_a_mail_arrives_as_text_and_html(sink: Start, mailing: Mailing, kind: str) -> None:
    server = sink()
    mailing(server)
    mail_id = owe(kind)
    assert work(mail_id) == {"status": "sent"}
    [mail] = server.mails
    assert (mail.sender, mail.recipient) == ("FROM:<hub@example.net>", "TO:<ada@example.com>")
    assert mail.message["From"] == "DeviceHub <hub@example.net>"
    assert mail.message["To"] == "ada@example.com"
    assert mail.message["Message-ID"] == f"<{mail_id}@example.net>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message.get_content_type() == "multipart/alternative"
    secret = DATA[kind].get("code") or DATA[kind]["token"]
    assert secret in mail.body("plain") and secret in mail.body("html")


def test_text_of_every_script_arrives_as_it_was_over_lines_that_any_server_takes(
    sink: Start, mailing: Mailing
) -> None:
    server = sink()
    mailing(server)
    name = "Ætheldreð 株式会社 .\n." + "x" * 80
    work(owe("invitation", data=DATA["invitation"] | {"organizationName": name}))
    [mail] = server.mails
    assert " ".join(name.split()) in str(mail.message["Subject"])
    assert " ".join(name.split()) in mail.body("plain") and "Ætheldreð 株式会社" in mail.body("html")
    assert mail.raw.isascii() and max(map(len, mail.raw.split(b"\r\n"))) <= 998


def test_what_was_sent_is_not_sent_again_and_its_secret_is_forgotten(sink: Start, mailing: Mailing) -> None:
    server = sink()
    mailing(server)
    mail_id = owe()
    work(mail_id)
    assert work(mail_id) == {"status": "sent"}
    assert len(server.mails) == 1
    found = kept(mail_id)
    assert found.sent_at is not None and found.attempts == 1
    assert "493027" not in str(found.to_mongo())


def test_of_many_runs_at_once_one_sends(sink: Start, mailing: Mailing) -> None:
    server = sink()
    mailing(server)
    mail_id = owe()

    def run(_: int) -> str:
        try:
            return str(work(mail_id)["status"])
        except BeingSent:
            return "being sent"

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(run, range(16)))
    assert len(server.mails) == 1
    assert "sent" in ends and set(ends) <= {"sent", "being sent"}


def test_a_mail_whose_sender_died_is_sent_when_its_claim_has_lapsed(
    sink: Start, mailing: Mailing, clock: Callable[[float], None]
) -> None:
    server = sink()
    mailing(server)
    mail_id = owe()
    until = system_clock.now() + CLAIM
    Mail.objects(id=mail_id).update_one(set__status="sending", set__claimed_until=until, inc__attempts=1)
    with pytest.raises(BeingSent):
        work(mail_id)
    assert server.mails == []
    clock(CLAIM.total_seconds() + 1)
    assert work(mail_id) == {"status": "sent"}
    assert len(server.mails) == 1


def test_a_server_that_is_down_is_tried_again_until_it_is_back(
    sink: Start, mailing: Mailing, nobody_there: str
) -> None:
    mailing(nobody_there)
    mail_id = owe()
    with pytest.raises(Undelivered, match="ConnectionRefusedError"):
        work(mail_id)
    found = kept(mail_id)
    assert (found.status, found.attempts, found.last_error) == ("pending", 1, "ConnectionRefusedError")
    assert found.data == DATA["otp"]
    server = sink(port=int(nobody_there.rpartition(":")[2]))
    assert work(mail_id) == {"status": "sent"}
    assert "493027" in server.mails[0].body("plain")
    assert kept(mail_id).attempts == 2


def test_after_five_tries_it_has_failed_and_its_secret_is_forgotten(mailing: Mailing, nobody_there: str) -> None:
    mailing(nobody_there)
    mail_id = owe()
    for _ in range(TRIES):
        assert kept(mail_id).status == "pending"
        with pytest.raises(Undelivered):
            work(mail_id)
    found = kept(mail_id)
    assert (TRIES, found.status, found.data) == (5, "failed", {})
    assert work(mail_id) == {"status": "failed"}


def test_it_has_failed_with_its_job_also_where_a_worker_died_before_it_began(
    mailing: Mailing, nobody_there: str
) -> None:
    mailing(nobody_there)
    mail_id = owe()
    for attempt in range(2, TRIES + 1):
        assert kept(mail_id).status == "pending"
        with pytest.raises(Undelivered):
            work(mail_id, attempt=attempt)
    assert (kept(mail_id).status, kept(mail_id).data) == ("failed", {})


def test_the_job_is_tried_as_often_as_the_mail(app: Flask) -> None:
    assert registered("mail.send").delays == (5, 30, 120, 600)


@pytest.mark.parametrize(
    "replies",
    [
        {"RCPT": "451 greylisted"},
        {"MAIL": "530 5.7.0 sign in first"},
        {"END": "452 full"},
        {"EHLO": "421 too busy"},
    ],
)
def test_what_a_server_refuses_for_now_is_tried_again(
    sink: Start, mailing: Mailing, replies: dict[str, str]
) -> None:
    server = sink(replies=replies | {"HELO": "421 too busy"})
    mailing(server)
    mail_id = owe()
    with pytest.raises(Undelivered):
        work(mail_id)
    assert kept(mail_id).status == "pending"
    server.replies.clear()
    assert work(mail_id) == {"status": "sent"}


@pytest.mark.parametrize(
    "replies", [{"RCPT": "550 5.1.1 <ada@example.com> is nobody here"}, {"END": "554 5.6.0 no such words"}]
)
def test_what_a_server_refuses_for_good_has_failed_at_once(
    sink: Start, mailing: Mailing, replies: dict[str, str]
) -> None:
    server = sink(replies=replies)
    mailing(server)
    mail_id = owe()
    assert work(mail_id) == {"status": "failed"}
    assert work(mail_id) == {"status": "failed"}
    found = kept(mail_id)
    assert (found.attempts, found.data) == (1, {})
    assert "55" in found.last_error and "ada@" not in found.last_error
    assert server.heard.count("MAIL") == 1


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com\r\nBcc: all@example.com",
        "ada@example.com\n",
        "ada@example.com, all@example.com",
        "ada@example.com;all@example.com",
        "Ada <ada@example.com>",
        '"a b"@example.com',
        "ada",
        "@example.com",
        "ada@" + "x" * 300,
        "",
    ],
)
def test_an_address_that_is_not_one_mailbox_is_not_written_to(sink: Start, mailing: Mailing, address: str) -> None:
    server = sink()
    mailing(server)
    mail_id = owe(to=address or " ")
    assert work(mail_id) == {"status": "failed"}
    assert server.heard == []


def test_a_code_dies_before_it_is_sent_late(sink: Start, mailing: Mailing, clock: Callable[[float], None]) -> None:
    server = sink()
    mailing(server)
    mail_id = owe(dies_at=system_clock.now() + timedelta(minutes=10))
    clock(600)
    assert work(mail_id) == {"status": "expired"}
    found = kept(mail_id)
    assert (found.status, found.data, found.sent_at) == ("expired", {}, None)
    assert server.heard == []


def test_a_mail_that_lacks_a_fact_is_tried_again_for_the_mistake_is_ours(sink: Start, mailing: Mailing) -> None:
    server = sink()
    mailing(server)
    mail_id = owe("otp", data={"code": "493027"})
    with pytest.raises(Exception, match="minutes"):
        work(mail_id)
    found = kept(mail_id)
    assert (found.status, found.last_error) == ("pending", "UndefinedError")


def test_a_mail_that_is_gone_is_nobodys_failure(app: Flask) -> None:
    mail_id = owe()
    Mail.objects.delete()
    assert work(mail_id) == {"status": "gone"}


def test_without_a_server_the_log_tells_of_it_and_keeps_its_secret(app: Flask, logged: Any) -> None:
    mail_id = owe()
    assert work(mail_id) == {"status": "sent"}
    [line] = logged("mail.sent")
    assert (line["kind"], line["to"], line["mail_id"]) == ("otp", "a***@example.com", mail_id)
    assert line["see"] == f"http://127.0.0.1:5000/dev/mail/{mail_id}"
    assert "493027" not in str(logged())


def test_what_is_rendered_is_kept_in_development_only(app: Flask, using: Any) -> None:
    with using(app_env="production"):
        shown, unseen = owe(), owe()
        work(unseen)
    work(shown)
    assert kept(unseen).rendered == {} and "493027" not in str(kept(unseen).to_mongo())
    assert "493027" in kept(shown).rendered["text"]

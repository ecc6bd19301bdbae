"""What is owed: once, and only to who wants it."""

import pytest
from bson import ObjectId
from flask import Flask

from devicehub.jobs.models import Job
from devicehub.mail import preferences
from devicehub.mail import service as mail
from devicehub.mail.models import OPTIONAL_KINDS, SECURITY_KINDS, Mail
from tests.mail.conftest import DATA, kept, owe

ADA = "65f0a1b2c3d4e5f6a7b8c9d0"


def test_what_is_owed_is_written_down_with_the_job_that_sends_it(app: Flask) -> None:
    mail_id = owe("otp")
    found = kept(mail_id)
    assert (found.kind, found.to, found.status, found.data) == ("otp", "ada@example.com", "pending", DATA["otp"])
    [job] = Job.objects(name="mail.send")
    assert job.arguments == {"mailId": mail_id}


def test_the_same_news_is_owed_once(app: Flask) -> None:
    for _ in range(2):
        mail.send("otp", "ada@example.com", DATA["otp"], key="otp:1")
    assert (Mail.objects.count(), Job.objects.count()) == (1, 1)


def test_the_job_of_a_mail_that_was_written_by_who_then_died_is_asked_for_again(app: Flask) -> None:
    mail.send("otp", "ada@example.com", DATA["otp"], key="otp:1")
    Job.objects.delete()
    mail.send("otp", "ada@example.com", DATA["otp"], key="otp:1")
    [job] = Job.objects(name="mail.send")
    assert job.arguments == {"mailId": str(Mail.objects.get().id)}


def test_there_are_no_other_kinds(app: Flask) -> None:
    with pytest.raises(ValueError, match="birthday"):
        mail.send("birthday", "ada@example.com", {}, key="birthday:1")
    assert Mail.objects.count() == 0


def test_what_somebody_does_not_want_is_not_owed_to_them(app: Flask) -> None:
    preferences.update(ADA, {"invitation": False})
    mail.send("invitation", "ada@example.com", DATA["invitation"], key="a", user_id=ADA)
    assert Mail.objects.count() == Job.objects.count() == 0
    mail.send("invitation", "bob@example.com", DATA["invitation"], key="b", user_id=str(ObjectId()))
    mail.send("invitation", "eve@example.com", DATA["invitation"], key="c")
    assert Mail.objects.count() == 2


def test_what_concerns_safety_is_owed_whatever_was_said(app: Flask) -> None:
    preferences.update(ADA, dict.fromkeys([*OPTIONAL_KINDS, *SECURITY_KINDS], False))
    for kind in SECURITY_KINDS:
        mail.send(kind, "ada@example.com", DATA[kind], key=kind, user_id=ADA)
    assert Mail.objects.count() == len(SECURITY_KINDS)

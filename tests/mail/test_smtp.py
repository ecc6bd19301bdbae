"""The line to the server: what is encrypted, who is believed, and what a password needs."""

from collections.abc import Callable

import pytest

from devicehub.mail.smtp import Undelivered
from tests.mail.conftest import kept, owe, work
from tests.mail.sink import CERTIFICATE, HANG_UP, Sink

Start = Callable[..., Sink]
Mailing = Callable[..., None]

TLS = ("STARTTLS", "AUTH PLAIN")


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the certificate of the sink be one that this machine believes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.usefixtures("trusted")
def test_a_line_is_encrypted_when_the_server_offers_it(sink: Start, mailing: Mailing) -> None:
    server = sink(offers=TLS)
    mailing(server)
    work(owe())
    assert [mail.encrypted for mail in server.mails] == [True]


@pytest.mark.usefixtures("trusted")
def test_smtps_is_encrypted_from_the_first_byte(sink: Start, mailing: Mailing) -> None:
    server = sink(encrypted=True)
    mailing(f"smtps://localhost:{server.port}")
    work(owe())
    assert [mail.encrypted for mail in server.mails] == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_is_not_believed_gets_nothing(sink: Start, mailing: Mailing, scheme: str) -> None:
    server = sink(offers=TLS, encrypted=scheme == "smtps")
    mailing(f"{scheme}://hub:secret@localhost:{server.port}")
    mail_id = owe()
    with pytest.raises(Undelivered, match="SSLCertVerificationError"):
        work(mail_id)
    assert kept(mail_id).status == "pending"
    assert server.mails == [] and not {"AUTH", "MAIL"} & set(server.heard)


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_not_believed(sink: Start, mailing: Mailing) -> None:
    server = sink(offers=TLS, host="127.0.0.2")
    mailing(f"smtp://127.0.0.2:{server.port}")
    with pytest.raises(Undelivered, match="SSLCertVerificationError"):
        work(owe())
    assert server.mails == []


@pytest.mark.usefixtures("trusted")
def test_who_has_a_password_signs_in(sink: Start, mailing: Mailing) -> None:
    server = sink(offers=TLS)
    mailing(f"smtp://hub%40example.net:p%2Fss%3Aword@localhost:{server.port}")
    work(owe())
    assert [mail.login for mail in server.mails] == ["hub@example.net p/ss:word"]


def test_no_password_goes_over_a_line_that_is_not_encrypted(sink: Start, mailing: Mailing) -> None:
    server = sink(offers=("AUTH PLAIN",))
    mailing(f"smtp://hub:secret@localhost:{server.port}")
    mail_id = owe()
    with pytest.raises(Undelivered, match="not encrypted"):
        work(mail_id)
    assert kept(mail_id).status == "pending"
    assert "AUTH" not in server.heard


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_tried_again_once_somebody_has_mended_it(sink: Start, mailing: Mailing) -> None:
    server = sink(offers=TLS, replies={"AUTH": "535 5.7.8 no"})
    mailing(f"smtp://hub:secret@localhost:{server.port}")
    mail_id = owe()
    with pytest.raises(Undelivered, match="535"):
        work(mail_id)
    assert kept(mail_id).status == "pending"


@pytest.mark.parametrize("goodbye", ["421 going down", "500 what?", HANG_UP])
def test_what_goes_wrong_after_the_servers_yes_does_not_send_it_twice(
    sink: Start, mailing: Mailing, goodbye: str
) -> None:
    server = sink(replies={"QUIT": goodbye})
    mailing(server)
    mail_id = owe()
    assert work(mail_id) == {"status": "sent"}
    assert len(server.mails) == 1


def test_a_domain_of_another_script_is_written_as_the_dns_knows_it(sink: Start, mailing: Mailing) -> None:
    server = sink()
    mailing(server)
    work(owe(to="ada@bücher.example"))
    assert [mail.recipient for mail in server.mails] == ["TO:<ada@xn--bcher-kva.example>"]


def test_a_mailbox_of_another_script_needs_a_server_that_takes_it(sink: Start, mailing: Mailing) -> None:
    plain, able = sink(), sink(offers=("SMTPUTF8", "8BITMIME"))
    mailing(plain)
    mail_id = owe(to="ädä@example.com")
    assert work(mail_id) == {"status": "failed"}
    assert "SMTPUTF8" in kept(mail_id).last_error
    mailing(able)
    assert work(owe(to="ädä@example.com")) == {"status": "sent"}
    assert able.mails[0].recipient.startswith("TO:<ädä@example.com>")

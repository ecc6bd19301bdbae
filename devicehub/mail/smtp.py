"""Handing a mail over by SMTP, and what the server's no means."""

import smtplib
import ssl
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from urllib.parse import SplitResult, unquote, urlsplit

from devicehub.core import clock, config
from devicehub.mail.addresses import is_mailbox, mask_all
from devicehub.mail.rendering import Rendered

TIMEOUT_S = 10
PORTS = {"smtp": 587, "smtps": 465}
# Plain ASCII on the wire, whatever the text: not every server takes eight bits.
_POLICY = SMTP.clone(cte_type="7bit")


class Undelivered(Exception):
    """It could not be handed over this time; the message says why, without naming anybody."""


class Refused(Undelivered):
    """The server does not want this mail and will not: trying again is of no use."""


def compose(mail_id: str, to: str, rendered: Rendered) -> EmailMessage:
    """The message as it travels: text and HTML; raises Refused for an address that is not one mailbox.

    Its id follows from the mail's, so that who receives it twice can tell.
    """
    if not is_mailbox(to):
        raise Refused("this is no address of one mailbox")
    name, address = parseaddr(config.current().mail_from)
    sender = Address(display_name=name, addr_spec=address)
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = _recipient(to)
    message["Subject"] = rendered.subject
    message["Date"] = formatdate(clock.timestamp())
    message["Message-ID"] = f"<{mail_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message


def send(message: EmailMessage) -> None:
    """Hand a message to the server of SMTP_URL; raises Undelivered, or Refused when that is for good.

    Once the server has said that it has the mail, nothing that goes wrong in saying goodbye counts.
    """
    try:
        connection = _connect(urlsplit(config.current().smtp_url))
        try:
            connection.send_message(message)
        finally:
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()
            connection.close()
    except (smtplib.SMTPException, OSError) as error:
        raise (Refused if _is_final(error) else Undelivered)(_reason(error)) from None


def _reason(error: Exception) -> str:
    """What went wrong in one line, with every address in it masked."""
    code, said = _answer(error)
    words = [type(error).__name__, *([str(code)] if code else ()), *said.split()]
    return mask_all(" ".join(words))[:200]


def _connect(server: SplitResult) -> smtplib.SMTP:
    """A connection on which a message may be sent: encrypted if the server can, and before any password."""
    host, port = server.hostname or "", server.port or PORTS[server.scheme]
    name = parseaddr(config.current().mail_from)[1].rpartition("@")[2]  # our own would take a look-up
    context = ssl.create_default_context()
    if server.scheme == "smtps":
        secure = smtplib.SMTP_SSL(host, port, local_hostname=name, timeout=TIMEOUT_S, context=context)
        return _logged_in(secure, server)
    connection = smtplib.SMTP(host, port, local_hostname=name, timeout=TIMEOUT_S)
    try:
        connection.ehlo_or_helo_if_needed()
        if connection.has_extn("starttls"):
            connection.starttls(context=context)
        elif server.username:
            raise smtplib.SMTPNotSupportedError("no password goes over a line that is not encrypted")
        return _logged_in(connection, server)
    except BaseException:
        connection.close()
        raise


def _logged_in(connection: smtplib.SMTP, server: SplitResult) -> smtplib.SMTP:
    if server.username:
        connection.login(unquote(server.username), unquote(server.password or ""))
    return connection


def _is_final(error: Exception) -> bool:
    """Whether the server refused this recipient or this text for good, and not us or everything for now."""
    code, _ = _answer(error)
    if isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError):
        return code is not None and code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError) and "SMTPUTF8" in str(error)  # of the address


def _answer(error: Exception) -> tuple[int | None, str]:
    """The code and the words of the server, or the words of smtplib."""
    code: int | None = None
    said: bytes | str = str(error) if isinstance(error, smtplib.SMTPNotSupportedError) else ""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        [(code, said)] = error.recipients.values()
    elif isinstance(error, smtplib.SMTPResponseException):
        code, said = error.smtp_code, error.smtp_error
    return code, said.decode(errors="replace") if isinstance(said, bytes) else said


def _recipient(address: str) -> Address:
    """The address with its domain as the DNS knows it."""
    local, _, domain = address.rpartition("@")
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode()
    return Address(username=local, domain=domain)

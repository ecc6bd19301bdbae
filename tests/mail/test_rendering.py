"""Every kind of mail, made of the data it is documented with, and what people's own words can do to it."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import UndefinedError

from devicehub.mail import rendering
from devicehub.mail.models import OPTIONAL_KINDS, SECURITY_KINDS
from devicehub.mail.rendering import KINDS, render
from tests.mail.conftest import DATA, NOON

TEMPLATES = Path(rendering.__file__).parent / "templates"
SHOWN = {
    "otp": ["493027", "10 minutes"],
    "password_changed": ["31 January 2026, 12:00 UTC", "203.0.113.9", "Firefox on Linux"],
    "new_sign_in": ["31 January 2026, 12:00 UTC", "203.0.113.9", "Firefox on Linux"],
    "refresh_reused": ["31 January 2026, 12:00 UTC", "203.0.113.9", "Firefox on Linux"],
    "invitation": ["Ada Lovelace", "Analytical Engines", "operator", "dhi_5up3rs3cr3t", "31 January 2026"],
    "device_offline": ["Analytical Engines", "Boiler", "Pump", "31 January 2026, 12:00 UTC", "and 1 more"],
    "export_ready": ["logs_20260101-20260131_b8c9d2.csv", "1,234,567 records, 81.2 MB", "9f86d081884c7d65"],
    "report": [
        "Usage of the week",
        "31 January 2026, 12:00 UTC",
        "/api/export/jobs/65f0a1b2c3d4e5f6a7b8c9d2/download",
    ],
    "email_change": ["http://127.0.0.1:5000/confirm-email#dhe_5up3rs3cr3t", "ada@example.org", "24 hours"],
    "email_changed": ["a***@example.org", "31 January 2026"],
}
VOID = {"meta", "br", "img", "hr", "input", "link"}


class Checked(HTMLParser):
    """Reads HTML and complains of what is not closed; what would be fetched is `fetched`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "srcset", "background", "data")]
        self.fetched += [str(value) for name, value in attrs if name == "href" and tag == "link"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_every_kind_has_its_templates_and_is_either_for_safety_or_optional() -> None:
    assert {path.stem for path in TEMPLATES.iterdir()} == {*KINDS, "base", "parts"}
    assert set(KINDS) == set(DATA)
    assert set(KINDS) <= {*SECURITY_KINDS, *OPTIONAL_KINDS}
    assert not set(SECURITY_KINDS) & set(OPTIONAL_KINDS)


@pytest.mark.parametrize("kind", DATA)
def test_every_kind_says_the_same_in_text_and_in_html(app: Flask, kind: str) -> None:
    mail = render(kind, DATA[kind])
    page = Checked(mail.html)
    assert mail.subject and len(mail.subject) < 80
    for shown in [*SHOWN[kind], one_line(KINDS[kind].why.partition("{{")[0])]:
        assert shown in one_line(mail.text), shown
        assert shown in one_line(page.text), shown
    assert page.fetched == [] and "url(" not in mail.html
    assert "{" not in mail.text


@pytest.mark.parametrize(
    ("kind", "missing"), [(kind, name) for kind, data in DATA.items() for name in data if name != "token"]
)
def test_a_mail_that_lacks_a_fact_is_none(app: Flask, kind: str, missing: str) -> None:
    with pytest.raises(UndefinedError):
        render(kind, {name: value for name, value in DATA[kind].items() if name != missing})


def test_an_invitation_with_a_link_has_a_button(app: Flask) -> None:
    data = {name: value for name, value in DATA["invitation"].items() if name != "token"}
    mail = render("invitation", data | {"acceptUrl": "https://hub.example.com/join?a=1&b=2"})
    assert "https://hub.example.com/join?a=1&b=2" in mail.text
    assert 'href="https://hub.example.com/join?a=1&amp;b=2"' in mail.html


def test_links_lead_to_where_people_reach_us(app: Flask, using: object) -> None:
    with using(public_url="https://hub.example.com/"):  # type: ignore[operator]
        mail = render("email_change", DATA["email_change"])
    assert "https://hub.example.com/confirm-email#dhe_5up3rs3cr3t" in mail.text


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ token }}", "A & B", "<b>Bold</b>"]
)
def test_a_name_is_a_name_whatever_it_looks_like(app: Flask, name: str) -> None:
    mail = render("invitation", DATA["invitation"] | {"organizationName": name, "inviterName": name})
    page = Checked(mail.html)
    assert page.fetched == [] and name in page.text
    assert "<script" not in mail.html and "<b>" not in mail.html
    assert name in mail.subject and name in mail.text


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\n\n", "\u202e", "\x00", "\x1b"]
)
def test_a_name_is_one_line_whatever_is_in_it(app: Flask, end: str) -> None:
    """Else it could write headers, or paragraphs in our name."""
    plain, odd = (
        render("invitation", DATA["invitation"] | {"inviterName": f"Ada{between}Bcc: all@example.com"})
        for between in (" ", end)
    )
    assert odd == plain
    assert len(odd.subject.splitlines()) == 1


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari on macOS"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 300, "x" * 80),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_browser_is_called_by_its_name(app: Flask, said: str | None, shown: str) -> None:
    mail = render("new_sign_in", {"at": NOON, "ip": None, "userAgent": said})
    assert f"With        {shown}\n" in mail.text
    assert "IP address  unknown\n" in mail.text


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(1, "1 minute"), (10, "10 minutes"), (60, "1 hour"), (90, "90 minutes"), (1440, "24 hours")],
)
def test_a_span_is_told_in_its_unit(app: Flask, minutes: int, shown: str) -> None:
    assert f"for {shown}." in render("otp", {"code": "1", "minutes": minutes}).text

"""From a kind and its data to subject, text and HTML.

What people have typed (names) is escaped in HTML, and is one line everywhere, so it can forge neither a header nor
a paragraph of ours.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from devicehub.core import config


@dataclass(frozen=True, slots=True)
class Kind:
    """What stands around its two templates: the subject, the line that inboxes show after it, the reason."""

    subject: str
    gist: str
    why: str


_SAFETY = "You get this because it concerns the safety of your DeviceHub account; such mails cannot be turned off."

KINDS = {
    "otp": Kind(
        "Your DeviceHub code",
        "It works once, for {{ minutes | span }}.",
        "You get this because somebody asked for a code for the account of this address.",
    ),
    "password_changed": Kind(
        "Your DeviceHub password was changed",
        "If it was not you, set a new one now.",
        _SAFETY,
    ),
    "new_sign_in": Kind(
        "New sign-in to your DeviceHub account",
        "From {{ userAgent | browser }}, {{ at | moment }}.",
        _SAFETY,
    ),
    "refresh_reused": Kind(
        "We ended a session of your DeviceHub account",
        "One of its tokens was used twice: somebody may have copied it.",
        _SAFETY,
    ),
    "invitation": Kind(
        "{{ inviterName }} invites you to {{ organizationName }}",
        "Join as {{ role }} on DeviceHub.",
        "You get this because {{ inviterName }} gave this address when inviting you.",
    ),
    "device_offline": Kind(
        "{% if count == 1 %}{{ devices[0].name | truncate(50, true) }} is offline"
        "{% else %}{{ count }} devices are offline{% endif %}",
        "In {{ organizationName }}.",
        "You get this because they are yours, or you chose to be told of all; your preferences turn it off.",
    ),
    "export_ready": Kind(
        "Your export is ready: {{ fileName }}",
        "{{ amount }}, {{ size }}.",
        "You get this because you asked for it; your preferences turn such mails off.",
    ),
    "report": Kind(
        "{{ title | truncate(60, true) }} is ready",
        "{{ amount }}, {{ size }}.",
        "You get this because you have planned it; your preferences turn such mails off.",
    ),
    "email_change": Kind(
        "Confirm your new address for DeviceHub",
        "Nothing changes until you do.",
        "You get this because somebody gave this address as the new one of their DeviceHub account.",
    ),
    "email_changed": Kind(
        "The address of your DeviceHub account was changed",
        "From now on it is {{ newEmail }}.",
        _SAFETY,
    ),
}


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str


def render(kind: str, data: Mapping[str, Any]) -> Rendered:
    """The mail of a kind; raises jinja2's UndefinedError when `data` lacks what its templates need."""
    environment = _environment()
    known = {"public_url": config.current().public_address, **data}
    around = {name: environment.from_string(text).render(known) for name, text in asdict(KINDS[kind]).items()}
    text, html = (environment.get_template(f"{kind}.{form}").render(known | around) for form in ("txt", "html"))
    return Rendered(around["subject"], text.strip() + "\n", html)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("devicehub.mail"),
        autoescape=select_autoescape(("html",), default_for_string=False),
        undefined=StrictUndefined,
        finalize=_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": _moment, "span": _span, "browser": _browser}
    return environment


# Control characters, line ends of every kind, and what turns the direction of writing around.
_UNRULY = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def _one_line(value: Any) -> Any:
    """Every value a template prints passes here; what it has marked up itself stays as it is."""
    return _UNRULY.sub(" ", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _moment(value: datetime | str) -> str:
    """`31 January 2026, 12:00 UTC`, of a time or of one in RFC 3339."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _span(minutes: int) -> str:
    """`10 minutes`, `1 hour`, `24 hours`."""
    number, unit = (minutes, "minute") if minutes % 60 else (minutes // 60, "hour")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


# In this order: most browsers also say that they are those after them.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
            ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip


def _browser(user_agent: str | None) -> str:
    """`Firefox on Linux`, as far as a user agent can be believed; else what it says of itself."""
    said = user_agent or ""
    browser = next((name for word, name in _BROWSERS if word in said), None)
    system = next((name for word, name in _SYSTEMS if word in said), None)
    return f"{browser} on {system}" if browser and system else said[:80] or "unknown"

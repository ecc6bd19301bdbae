"""A running server, and its document as schemathesis reads it."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

from devicehub.core import clock
from tests.conftest import LiveServer

# Without it the suite sends the same few examples each time; with it, `make fuzz` sends that many, others each time.
CAMPAIGN = int(os.environ.get("FUZZ_EXAMPLES", "0"))

# Fit by their length and their last letters: no other account is called so, and no list has them.
# Some are just as short or as long as a password may be, or just not: to look for those among the rest takes half a
# second each, and is in vain.
_ENDING = "!Zq8#wV3"
_EDGES = st.sampled_from([7, 8, 9, 71, 72, 73, 199, 200, 201]).map(
    lambda length: _ENDING.rjust(length, "y")[-length:]
)
schemathesis.openapi.format(
    "password", st.text(st.characters(codec="latin-1"), max_size=10).map(lambda text: text + _ENDING) | _EDGES
)
schemathesis.openapi.format("iana-timezone", st.sampled_from(sorted(clock.timezones())))
# Whom only the machine itself can reach is refused, and nobody is to be reached.
schemathesis.openapi.format(
    "receiver-url",
    st.from_regex(r"https://[a-z]{1,9}\.invalid(:[1-9][0-9]{0,3})?(/[a-z0-9]{0,9})?", fullmatch=True),
)

Document = Callable[..., BaseSchema]


@schemathesis.serializer("application/x-ndjson", "text/csv")
def _as_it_is(_: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


@schemathesis.hook
def filter_query(_: schemathesis.HookContext, query: Any) -> bool:
    """A first line that is too long never comes to the application: tests/e2e/test_wire.py."""
    return len(urlencode(query or {}, doseq=True, errors="surrogatepass")) < 8000


def examples(few: int) -> int:
    """How many examples to send where the suite sends `few`."""
    return CAMPAIGN or few


def statuses(sound: list[str], unsound: list[str] | None = None) -> dict[str, Any]:
    """The checks that know what sound requests, and unsound ones, may be answered with."""
    checks = {"positive_data_acceptance": {"expected-statuses": sound}}
    if unsound:
        checks["negative_data_rejection"] = {"expected-statuses": unsound}
    return checks


@pytest.fixture(scope="session")
def document(live_server: LiveServer) -> Document:
    """Read the document of the running server; for `few` examples of every operation but the endless one."""

    @cache  # what of it has been resolved serves all tests
    def read(*, few: int, **generation: Any) -> BaseSchema:
        settings = {
            "generation": {
                "max-examples": examples(few),
                "deterministic": not CAMPAIGN,
                "database": "none",
                "with-security-parameters": False,  # a check of its own asks without a token, and with a made-up one
                **generation,
            },
            "checks": statuses(["2xx", "304", "404", "409", "412"], ["400", "404", "405", "412", "415", "422"]),
            "operations": [
                # Made-up credentials are sound as far as a schema can say, and an unfit password is merely wrong.
                {
                    "include-path-regex": "/auth/(refresh|logout|email/confirm|password/.*)$",
                    "checks": statuses(["2xx", "401", "423"]),
                },
                {
                    "include-path-regex": "/auth/(login|email/change)$",
                    "checks": statuses(["2xx", "401", "423"], ["400", "401", "404", "405", "415", "422", "423"]),
                },
                # No schema can say which cursors we gave, nor that a range ends after it begins, nor what time it is.
                {
                    "include-path-regex": "/(audit|admin/jobs|admin/jobs/retry|presence/history|logs|logs/imports|usage|analytics/[a-z]+|notifications|deliveries|replay|export|export/jobs)$",
                    "checks": statuses(["2xx", "304", "404", "412", "422"]),
                },
                # Nor which addresses everybody can reach, in whatever way they are written.
                {
                    "include-path-regex": "/api/(auth/api-keys|webhooks|webhooks/[^/]+)$",
                    "checks": statuses(["2xx", "304", "404", "409", "412", "422"]),
                },
                # Nor how long a file is.
                {
                    "include-path": "/api/export/jobs/{export_id}/download",
                    "checks": statuses(["2xx", "304", "404", "409", "412", "416"]),
                },
                # Nor what makes a line; of the lines there are, each is judged by itself.
                {
                    "include-path": "/api/logs/import",
                    "checks": statuses(["2xx", "400", "422"], ["2xx", "400", "405", "415", "422"]),
                },
                # Of all that is wrong with a sign-up, only a role is not the caller's to choose; and a made-up
                # invitation is sound as far as a schema can say.
                {
                    "include-path": "/api/auth/signup",
                    "checks": statuses(["2xx", "404", "409"], ["400", "403", "404", "405", "415", "422"]),
                },
            ],
            "phases": {"coverage": {"enabled": bool(CAMPAIGN)}},  # the suite sends a few of the edges
            "suppress-health-check": ["all"],  # a busy machine is no finding
        }
        config = SchemathesisConfig.from_dict(settings)
        found = schemathesis.openapi.from_url(f"{live_server.url}/openapi.json", config=config)
        return found.exclude(path="/api/sse/events")  # it never ends; tests/realtime hears it

    return read

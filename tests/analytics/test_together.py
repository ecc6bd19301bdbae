"""Many who ask for the same at the same time are answered by one computation."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.analytics import service as analytics
from devicehub.core import cache, turnstile
from devicehub.core.turnstile import Turnstile
from tests.analytics.conftest import Write
from tests.conftest import wait_until
from tests.factories import Account, make_account

CALLERS = 100


@pytest.mark.actor()
def test_a_hundred_who_ask_for_an_uncached_dashboard_cause_one_computation(
    client_of: Callable[[Account], FlaskClient], account: Account, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(5, seed=1)
    computed, go_on, compute = [], threading.Event(), analytics._dashboard
    colleagues = [make_account(role="viewer", organization_id=account.actor.organization_id) for _ in range(4)]

    def once(*arguments: Any) -> Any:
        computed.append(arguments)
        go_on.wait(30)
        return compute(*arguments)

    def asked(number: int) -> Any:
        return client_of([account, *colleagues][number % 5]).get("/api/analytics/dashboard?range=7d")

    monkeypatch.setattr(analytics, "_dashboard", once)
    monkeypatch.setattr(turnstile, "_current", Turnstile(CALLERS))  # let all of them in at once
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = [callers.submit(asked, number) for number in range(CALLERS)]
        wait_until(lambda: waiting() == CALLERS - 1, 30, "all to wait for the first")
        go_on.set()
        told = [answer.result() for answer in answers]
    assert {(answer.status_code, answer.headers["X-Cache"]) for answer in told} == {(200, "MISS")}
    assert len({answer.data for answer in told}) == len(computed) == 1
    assert asked(0).headers["X-Cache"] == "HIT"


def waiting() -> int:
    """How many wait for what somebody else computes."""
    flights = [*cache.current()._flights.values()]
    return sum(len(flight._condition._waiters) for flight in flights)  # type: ignore[attr-defined]

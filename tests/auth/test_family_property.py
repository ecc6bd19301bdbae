"""A family of refresh tokens against a model of it: whatever is presented, ended, changed or waited for, and when."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from devicehub.auth import credentials, revocation, sessions, standing
from devicehub.auth import service as auth
from devicehub.auth.errors import (
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionNotFound,
    TokenRevoked,
    TokenStale,
)
from devicehub.auth.sessions import Grant
from devicehub.core import clock, events
from devicehub.core.actor import Actor
from devicehub.core.paging import Page
from tests.factories import PASSWORD

GRACE, SLIDING, ABSOLUTE = timedelta(seconds=10), timedelta(days=7), timedelta(days=30)
# None adds up to within two seconds of a limit, so that the time a run takes decides nothing.
WAITS = [timedelta(seconds=4), timedelta(seconds=11), timedelta(days=3.5), timedelta(days=8.25)]
WHICH, HOW_OLD, AGENTS = st.integers(0, 9), st.integers(0, 4), st.sampled_from(["tests", "elsewhere"])
MOST = 6


@dataclass
class Family:
    """What a session has to be like."""

    grant: Grant
    agent: str
    began: timedelta
    used: timedelta
    line: list[str] = field(default_factory=list)  # its refresh tokens, the present one last
    first_good: int = 0  # those before it went with the password they were granted for
    is_ended: bool = False

    def lives(self, now: timedelta) -> bool:
        return not self.is_ended and now - self.used < SLIDING and now - self.began < ABSOLUTE

    def goes_on(self, grant: Grant, agent: str, now: timedelta) -> None:
        self.grant, self.agent, self.used = grant, agent, now
        self.line.append(grant.refresh_token)


class RefreshFamilies(RuleBasedStateMachine):
    """One person, their sessions, and whoever else got hold of a token."""

    threads: ThreadPoolExecutor

    def __init__(self) -> None:
        super().__init__()
        self.moves = ExitStack()
        self.now = timedelta()
        self.passwords = (PASSWORD, "staple battery horse", "tray table upright")
        self.turn = self.version = 0
        self.email = f"{ObjectId()}@example.com"
        made = auth.sign_up(name="Ada Lovelace", email=self.email, password=PASSWORD)
        self.actor = Actor(str(made.user.id), str(made.organization.id), "owner")
        self.families: list[Family] = []

    def teardown(self) -> None:
        self.moves.close()

    def family(self, which: int) -> Family:
        return self.families[which % len(self.families)]

    def actor_of(self, family: Family) -> Actor:
        return replace(self.actor, session_id=family.grant.session_id)

    @property
    def living(self) -> list[Family]:
        return [family for family in self.families if family.lives(self.now)]

    @initialize(agent=AGENTS)
    def begin(self, agent: str) -> None:
        """Or runs in which nobody ever signs in would only wait."""
        self.sign_in(agent)

    @precondition(lambda self: len(self.families) < MOST)
    @rule(agent=AGENTS)
    def sign_in(self, agent: str) -> None:
        password = self.passwords[self.turn % 3]
        grant = auth.log_in(email=self.email, password=password, ip="192.0.2.7", user_agent=agent)
        self.families.append(Family(grant, agent, self.now, self.now, [grant.refresh_token]))

    @precondition(lambda self: self.families)
    @rule(which=WHICH, agent=AGENTS)
    def refresh(self, which: int, agent: str) -> None:
        self.present(self.family(which), 0, agent)

    @precondition(lambda self: self.families)
    @rule(which=WHICH, how_old=HOW_OLD, agent=AGENTS)
    def replay(self, which: int, how_old: int, agent: str) -> None:
        self.present(self.family(which), how_old, agent)

    def present(self, family: Family, how_old: int, agent: str) -> None:
        index = max(0, len(family.line) - 1 - how_old)
        how_old = len(family.line) - 1 - index

        def rotate() -> Grant:
            return sessions.rotate(family.line[index], ip="192.0.2.7", user_agent=agent)

        if index < family.first_good or not family.lives(self.now):
            self.refused(InvalidRefreshToken, rotate)
        elif how_old == 0:
            family.goes_on(rotate(), agent, self.now)
        elif how_old == 1 and agent == family.agent and self.now - family.used <= GRACE:
            family.grant = rotate()
            assert family.grant.refresh_token == family.line[-1]
        else:
            self.refused(RefreshTokenReused, rotate)
            family.is_ended = True

    @precondition(lambda self: self.living)
    @rule(which=WHICH, wait=st.sampled_from(WAITS[:2]), how_old=st.integers(1, 2), agent=st.none() | AGENTS)
    def come_late(self, which: int, wait: timedelta, how_old: int, agent: str | None) -> None:
        """Who may be a second tab, about as late as that may be: chance alone seldom comes to it."""
        family = self.living[which % len(self.living)]
        for _ in range(how_old):
            self.present(family, 0, family.agent)
        self.wait(wait)
        self.present(family, how_old, agent or family.agent)

    @staticmethod
    def refused(error: type[Exception], ask: Callable[[], Any]) -> None:
        with pytest.raises(error) as caught:
            ask()
        assert caught.type is error

    @precondition(lambda self: self.families)
    @rule(which=WHICH, agent=AGENTS)
    def two_tabs_at_once(self, which: int, agent: str) -> None:
        family = self.family(which)
        if not family.lives(self.now):
            return

        def rotate(_: int) -> Grant:
            return sessions.rotate(family.line[-1], ip="192.0.2.7", user_agent=agent)

        one, other = self.threads.map(rotate, range(2))
        assert one.refresh_token == other.refresh_token != family.line[-1]
        family.goes_on(one, agent, self.now)

    @precondition(lambda self: self.families)
    @rule(which=WHICH)
    def forge(self, which: int) -> None:
        """A token not handed out yet, in a good shape."""
        prefix, session_id, n, mac = self.family(which).line[-1].split(".")
        forged = f"{prefix}.{session_id}.{int(n) + 1}.{mac}"
        self.refused(InvalidRefreshToken, lambda: sessions.rotate(forged, ip=None, user_agent="tests"))

    @precondition(lambda self: self.families)
    @rule(which=WHICH, how_old=HOW_OLD)
    def log_out(self, which: int, how_old: int) -> None:
        family = self.family(which)
        index = max(0, len(family.line) - 1 - how_old)
        if index < family.first_good:
            self.refused(InvalidRefreshToken, lambda: revocation.end_by_token(family.line[index]))
        else:
            revocation.end_by_token(family.line[index])
            family.is_ended = True

    @precondition(lambda self: self.families)
    @rule(which=WHICH)
    def end_one(self, which: int) -> None:
        family = self.family(which)
        if family.lives(self.now):
            revocation.end_own(self.actor, family.grant.session_id)
            family.is_ended = True
        else:
            self.refused(SessionNotFound, lambda: revocation.end_own(self.actor, family.grant.session_id))

    @precondition(lambda self: self.families)
    @rule(which=WHICH)
    def switch(self, which: int) -> None:
        family = self.family(which)

        def ask() -> Grant:
            actor = self.actor_of(family)
            return sessions.switch(actor, actor.organization_id, ip="192.0.2.7", user_agent=family.agent)

        if family.lives(self.now):
            family.goes_on(ask(), family.agent, self.now)
        else:
            self.refused(TokenRevoked, ask)

    @precondition(lambda self: self.living)
    @rule(which=WHICH)
    def change_password(self, which: int) -> None:
        family = self.living[which % len(self.living)]
        current, new = (self.passwords[(self.turn + step) % 3] for step in range(2))
        self.turn, self.version = self.turn + 1, self.version + 1
        grant = credentials.change(
            self.actor_of(family), current_password=current, new_password=new, user_agent=family.agent
        )
        for other in self.living:
            other.is_ended = other is not family
        family.first_good = len(family.line)
        family.goes_on(grant, family.agent, self.now)

    @precondition(
        lambda self: self.living or len(self.families) == MOST
    )  # for nobody too, but not again and again
    @rule()
    def log_out_everywhere(self) -> None:
        assert auth.log_out_everywhere(self.actor) == len(self.living)
        self.version += 1
        for family in self.living:
            family.is_ended = True

    @rule(wait=st.sampled_from([*WAITS, WAITS[-1]]))  # the longest twice: it alone ends what nobody uses
    def wait(self, wait: timedelta) -> None:
        self.moves.enter_context(clock.moved(wait))
        self.now += wait

    @invariant()
    def what_lives_is_what_should(self) -> None:
        listed = sessions.find(self.actor, Page(limit=100))
        assert {item["id"] for item in listed["items"]} == {family.grant.session_id for family in self.living}

    @invariant()
    def access_is_worth_what_its_session_is(self) -> None:
        for family in self.families[-2:]:
            if family.is_ended:
                self.refused(TokenRevoked, lambda grant=family.grant: self.ask_with(grant))  # type: ignore[misc]
            elif family.lives(self.now) and family.grant.token_version < self.version:
                self.refused(TokenStale, lambda grant=family.grant: self.ask_with(grant))  # type: ignore[misc]
            elif family.lives(self.now):
                assert self.ask_with(family.grant).session_id == family.grant.session_id

    @staticmethod
    def ask_with(grant: Grant) -> Actor:
        return standing.identify(
            user_id=grant.user_id,
            organization_id=grant.organization_id,
            session_id=grant.session_id,
            token_id="any",
            token_version=grant.token_version,
            token_ends_at=clock.now() + timedelta(minutes=15),
        )


@pytest.fixture
def unheard(app: Flask) -> Iterator[None]:
    """Nobody hears of what happens: who is told of an end, and where it is written down, has tests of its own."""
    before = list(events._sinks)
    events.attach()
    yield
    events.attach(*before)


@pytest.mark.usefixtures("unheard")
def test_families_behave_like_their_model() -> None:
    with ThreadPoolExecutor(2) as RefreshFamilies.threads:
        run_state_machine_as_test(
            RefreshFamilies,
            settings=hypothesis_settings(
                max_examples=32, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )

"""What the operator does by hand: platform admins, secrets, and an end to all sessions."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from devicehub import cli
from devicehub.audit.models import AuditEntry
from devicehub.auth import revocation
from devicehub.auth.models import Session
from devicehub.core import config
from devicehub.core.config import Settings
from devicehub.users.models import User
from tests.conftest import ROOT, LiveServer, Servers, wait_until
from tests.factories import PASSWORD, make_account
from tests.web.refusals import refused

PROFILE = "/api/users/profile"
EMAIL = "root@example.com"

Typed = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("app")


def log_in(client: FlaskClient, email: str) -> dict[str, Any]:
    answer = client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.json
    body: dict[str, Any] = answer.json
    return body


def test_a_new_admin_has_an_organization_of_their_own(typed: Typed, client: FlaskClient) -> None:
    said = typed("create-admin", "--email", EMAIL, "--name", "Root", "--password-stdin", answer=f"{PASSWORD}\n")
    assert (said.exit_code, said.output) == (
        0,
        f"{EMAIL} is a platform admin, with an organization of their own.\n",
    )
    granted = log_in(client, EMAIL)
    assert (granted["user"]["role"], granted["user"]["name"]) == ("admin", "Root")
    assert granted["organization"]["role"] == "owner"


def test_the_password_is_asked_for_twice_and_not_shown(typed: Typed, client: FlaskClient) -> None:
    said = typed("create-admin", "--email", EMAIL, answer=f"Root\n{PASSWORD}\n{PASSWORD}\n")
    assert said.exit_code == 0 and PASSWORD not in said.output
    log_in(client, EMAIL)


@pytest.mark.parametrize(
    ("email", "name", "password", "sentence"),
    [
        (EMAIL, "Root", "short", "password: Shorter than 8 characters."),
        (EMAIL, "Root", "password", "password: This is one of the most common passwords."),
        (EMAIL, "Root", "root1234", "password: Made of your own name"),
        (EMAIL, "R", PASSWORD, "name: "),
        ("no address", "Root", PASSWORD, "email: Not a valid email address."),
    ],
)
def test_the_rules_are_those_of_a_sign_up(
    typed: Typed, email: str, name: str, password: str, sentence: str
) -> None:
    said = typed("create-admin", "--email", email, "--name", name, "--password-stdin", answer=f"{password}\n")
    assert said.exit_code == 1
    assert sentence in said.output
    assert User.objects.first() is None


def test_a_password_from_stdin_leaves_no_room_for_a_name(typed: Typed) -> None:
    assert typed("create-admin", "--email", EMAIL, "--password-stdin", answer=f"{PASSWORD}\n").exit_code == 2


def test_who_is_there_is_promoted_when_that_is_confirmed(typed: Typed) -> None:
    ada = make_account()
    said = typed("create-admin", "--email", ada.email.upper(), answer="n\n")
    assert said.exit_code == 1
    assert User.objects(email=ada.email).first().role == "user"
    for given in (("--yes",), ()):  # the second time it has been done already
        assert typed("create-admin", "--email", ada.email, *given).exit_code == 0
    assert User.objects(email=ada.email).first().role == "admin"


def test_what_is_cached_and_every_token_from_before_is_outdated(typed: Typed, client: FlaskClient) -> None:
    ada = make_account()
    assert client.get(PROFILE, headers=ada.headers).json["role"] == "user"
    typed("create-admin", "--email", ada.email, "--yes")
    refused(client.get(PROFILE, headers=ada.headers), 401, "TOKEN_STALE")
    renewed = client.post("/api/auth/refresh", json={"refreshToken": ada.refresh_token}).json
    headers = {"Authorization": f"Bearer {renewed['accessToken']}"}
    assert client.get(PROFILE, headers=headers).json["role"] == "admin"


def test_making_an_admin_is_recorded(typed: Typed) -> None:
    ada = make_account()
    typed("create-admin", "--email", ada.email, "--yes")
    intent, done = AuditEntry.objects(action="user.promoted").order_by("sequence")
    assert (intent.outcome, done.outcome, intent.changes) == ("intended", "done", {"role": "admin"})
    assert (intent.target, intent.actor_kind, intent.actor_id) == (ada.actor.user_id, "system", None)
    assert str(intent.organization_id) == ada.actor.organization_id


def test_fresh_secrets_are_fit_for_production_and_need_no_settings(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "devicehub.cli", "secrets", "new"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    again = CliRunner().invoke(cli.devicehub, ["secrets", "new"])
    fresh, others = (
        dict(line.split("=", 1) for line in said.splitlines()) for said in (done.stdout, again.stdout)
    )
    assert list(fresh) == list(others) == ["JWT_SECRET", "JWT_REFRESH_SECRET"]
    assert len({*fresh.values(), *others.values()}) == 4
    (tmp_path / ".env").write_text(done.stdout)
    read = config.read(Settings, _env_file=tmp_path / ".env", app_env="production")
    assert read.jwt_secret == fresh["JWT_SECRET"]


def test_every_session_of_everyone_ends_at_once_in_every_process(
    typed: Typed, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "BATCH", 2)
    accounts = [make_account() for _ in range(5)]
    revocation.end(str(accounts[0].actor.session_id))
    with httpx.Client(base_url=live_server.url) as http:
        for account in accounts[1:]:
            assert http.get(PROFILE, headers=account.headers).status_code == 200
        said = typed("sessions", "revoke-all", answer="y\n")
        assert (said.exit_code, said.output.splitlines()[-1]) == (0, "Sessions ended: 4.")
        for account in accounts:
            refused(http.get(PROFILE, headers=account.headers), 401, "TOKEN_REVOKED")
    assert Session.objects(revoked_at=None).count() == 0
    ended = AuditEntry.objects(action="session.ended", changes__reason="revoked_all")
    assert {str(entry.target) for entry in ended} == {account.actor.session_id for account in accounts[1:]}
    assert typed("sessions", "revoke-all", "--yes").output == "Sessions ended: 0.\n"


def test_sessions_live_on_when_it_is_not_confirmed(typed: Typed) -> None:
    make_account()
    assert typed("sessions", "revoke-all", answer="n\n").exit_code == 1
    assert Session.objects(revoked_at=None).count() == 1


@pytest.mark.xdist_group("outage")
def test_without_redis_sessions_end_and_it_says_for_whom_later(
    typed: Typed, servers: Servers, client: FlaskClient
) -> None:
    ada = make_account()
    servers.redis.stop()
    try:
        said = typed("sessions", "revoke-all", "--yes")
    finally:
        servers.restart_redis()
    assert said.exit_code == 0
    assert said.stdout == "Sessions ended: 1.\n" and "may believe in what it remembers for 30 s" in said.stderr
    wait_until(lambda: client.get(PROFILE, headers=ada.headers).status_code == 401)

"""The command as a person types it."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from devicehub.simulator import progress
from devicehub.simulator.behaviour import Steady
from devicehub.simulator.client import Client
from devicehub.simulator.commands import Duration, simulate
from devicehub.simulator.fleet import assemble
from devicehub.simulator.kept import Account
from devicehub.simulator.runner import Run
from devicehub.simulator.session import Session
from tests.conftest import free_port, wait_until
from tests.simulator.stub import Answer, Request, Stub, problem

ACCOUNTS, KEYS = Path("var/simulate.json"), Path("var/simulate-keys.json")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, url: str, answer: str = "") -> Result:
    pace = ("--devices", "3", "--interval", "50ms", "--for", "300ms")
    return CliRunner().invoke(simulate, [*pace, "--url", url, *arguments], input=answer)


def test_the_first_run_signs_up_a_demo_account_and_prints_it(stub: Stub) -> None:
    result = run(url=stub.url)
    [(email, password)] = stub.users.items()
    assert result.exit_code == 0, result.output
    assert f"Signed up a demo account: {email}, password {password}" in result.output
    assert "3 registered" in result.output
    assert stub.beats


def test_the_account_is_kept_for_this_server_where_only_its_owner_reads(stub: Stub) -> None:
    run(url=stub.url)
    [(email, password)] = stub.users.items()
    assert json.loads(ACCOUNTS.read_text()) == {stub.url: {"email": email, "password": password}}
    assert stat.S_IMODE(ACCOUNTS.stat().st_mode) == 0o600


def test_the_second_run_signs_in_again_and_finds_its_fleet(stub: Stub) -> None:
    run(url=stub.url)
    result = run(url=f"{stub.url}/")
    assert result.exit_code == 0, result.output
    assert "3 devices found by serial number, 0 registered" in result.output
    assert len(stub.asked("/api/auth/signup")) == 1
    assert len(stub.asked("/api/devices/batch")) == 1


def test_the_keys_are_kept_where_only_their_owner_reads_and_serve_the_next_run(stub: Stub) -> None:
    run(url=stub.url)
    kept = {device_id: key for key, device_id in stub.keys.items()}
    assert json.loads(KEYS.read_text()) == {stub.url: kept}
    assert stat.S_IMODE(KEYS.stat().st_mode) == 0o600
    assert run(url=stub.url).exit_code == 0
    assert stub.made == 3


@pytest.mark.parametrize("spoilt", [None, "", "{", "[]", '{"x": 1}'])
def test_keys_that_are_lost_are_made_anew_and_those_of_other_servers_left(stub: Stub, spoilt: str | None) -> None:
    run(url=stub.url)
    other = {"https://hub.example.com": {"d": "k"}}
    KEYS.write_text(json.dumps(other) if spoilt is None else spoilt.replace('"x"', f'"{stub.url}"'))
    result = run(url=stub.url)
    assert result.exit_code == 0, result.output
    assert "Keys made for 3 of them." in result.output
    kept = json.loads(KEYS.read_text())
    assert set(kept[stub.url]) == set(stub.devices)
    assert spoilt is not None or kept.items() >= other.items()


def test_accounts_of_other_servers_are_left_as_they_are(stub: Stub) -> None:
    other = {"https://hub.example.com": {"email": "a@example.com", "password": "theirs"}}
    ACCOUNTS.parent.mkdir()
    ACCOUNTS.write_text(json.dumps(other))
    run(url=stub.url)
    kept = json.loads(ACCOUNTS.read_text())
    assert kept.items() >= other.items()
    assert stub.url in kept


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"x": 1}'])
def test_a_spoilt_file_of_accounts_is_written_anew(stub: Stub, spoilt: str) -> None:
    ACCOUNTS.parent.mkdir()
    ACCOUNTS.write_text(spoilt.replace('"x"', f'"{stub.url}"'))
    assert run(url=stub.url).exit_code == 0
    assert stub.url in json.loads(ACCOUNTS.read_text())


def test_a_server_that_forgot_the_account_is_given_a_new_one(stub: Stub) -> None:
    run(url=stub.url)
    stub.users.clear()
    stub.devices.clear()
    result = run(url=stub.url)
    assert result.exit_code == 0, result.output
    assert "not known" in result.output
    assert json.loads(ACCOUNTS.read_text())[stub.url]["email"] in stub.users
    assert set(json.loads(KEYS.read_text())[stub.url]) == set(stub.devices)


def test_an_account_that_was_given_is_used_and_not_kept(stub: Stub) -> None:
    stub.users["me@example.com"] = "my own password"
    result = run("--email", "me@example.com", "--password", "my own password", url=stub.url)
    assert result.exit_code == 0, result.output
    assert "my own password" not in result.output
    assert not ACCOUNTS.exists()


def test_a_password_left_out_is_asked_for_and_not_shown(stub: Stub) -> None:
    stub.users["me@example.com"] = "my own password"
    result = run("--email", "me@example.com", url=stub.url, answer="my own password\n")
    assert result.exit_code == 0, result.output
    assert "my own password" not in result.output


def test_a_wrong_password_is_one_clear_line(stub: Stub) -> None:
    stub.users["me@example.com"] = "my own password"
    result = run("--email", "me@example.com", "--password", "a guess", url=stub.url)
    assert result.exit_code == 2
    assert result.stderr == f"Error: {stub.url} refused: 401 INVALID_CREDENTIALS As the test asked.\n"
    assert not stub.asked("/api/auth/signup")


def test_no_server_is_one_clear_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = run(url=url)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: No server answers at {url} (connection refused).")
    assert result.stderr.count("\n") == 1
    assert not ACCOUNTS.exists()


def test_a_stranger_at_the_address_is_one_clear_line(stub: Stub) -> None:
    stub.fault = lambda _: (200, None, {})
    result = run(url=stub.url)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "200 NOT_JSON" in result.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "ftp://127.0.0.1", "http://", "http://host:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert run(url=url).exit_code == 2


def test_an_address_below_a_prefix_is_asked_there(stub: Stub) -> None:
    run(url=f"{stub.url}/hub/")
    assert {request.path for request in stub.requests} == {"/hub/api/auth/signup"}


def test_a_password_without_an_email_is_refused(stub: Stub) -> None:
    assert run("--password", "x", url=stub.url).exit_code == 2


def test_what_is_wrong_with_what_was_typed_is_said(stub: Stub) -> None:
    wrong = {"code": "VALIDATION_ERROR", "detail": "`errors` says where.", "errors": {"email": ["No address."]}}
    stub.fault = lambda _: (422, wrong, {})
    result = run("--email", "me", "--password", "x", url=stub.url)
    assert '{"email":["No address."]}' in result.stderr


def test_one_refused_beat_makes_the_run_a_failure(stub: Stub) -> None:
    def refuse(request: Request) -> Answer | None:
        return problem(500, "INTERNAL_ERROR") if request.path.endswith("/heartbeat") else None

    stub.fault = refuse
    result = run(url=stub.url)
    assert result.exit_code == 1
    assert "500 INTERNAL_ERROR" in result.output


def test_an_account_shut_out_in_the_middle_ends_the_run_with_its_summary(stub: Stub) -> None:
    def shut_out(request: Request) -> Answer | None:
        if request.path.endswith("/heartbeat"):
            stub.users.clear()
        is_refused = request.path.endswith(("/heartbeat", "/keys", "/refresh"))
        return problem(401, "TOKEN_REVOKED") if is_refused else None

    stub.fault = shut_out
    result = CliRunner().invoke(simulate, ["--devices", "1", "--interval", "50ms", "--url", stub.url])
    assert result.exit_code == 1
    assert "sent" in result.output
    assert "is no longer let in: 401 INVALID_CREDENTIALS" in result.stderr


@pytest.mark.parametrize("terminal", [True, False], ids=["on a terminal", "in a log"])
def test_progress_is_shown_while_the_fleet_runs(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.05)
    monkeypatch.setattr(progress, "GLANCE", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    screen = io.StringIO()
    seen = Console(file=screen, force_terminal=terminal, width=120)
    stub.users["me@example.com"] = "my own password"
    with closing(Client(stub.url)) as client:
        session = Session.begin(client, Account("me@example.com", "my own password"), print)
        fleet = Run(session, assemble(session, 3, 5, print), Steady(0.02), connections=3)
        watching = Thread(target=progress.watch, args=(fleet, None, seen))
        fleet.start()
        watching.start()
        wait_until(lambda: "3/3 online" in screen.getvalue())
        fleet.ended.set()
        watching.join()
        fleet.stop()
    assert ("\x1b[" in screen.getvalue()) is terminal


def test_a_limit_on_signing_in_is_waited_out(stub: Stub) -> None:
    refusals = [problem(429, "AUTH_RATE_LIMIT_EXCEEDED", Retry_After="0")]
    stub.fault = lambda request: refusals.pop() if refusals and request.path.endswith("login") else None
    result = run(url=stub.url)
    assert result.exit_code == 0, result.output
    assert "429 AUTH_RATE_LIMIT_EXCEEDED As the test asked. Waiting" in result.output


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("30s", 30), ("1.5m", 90), ("1h", 3600), ("500ms", 0.5), (" 2 ", 2)]
)
def test_durations_are_written_as_people_do(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["0", "-1", "s", "1d", "1h30m", "nan"])
def test_a_duration_that_is_none_is_refused(stub: Stub, text: str) -> None:
    result = run("--interval", text, url=stub.url)
    assert result.exit_code == 2
    assert "30s" in result.stderr


@contextmanager
def typed(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own."""
    root = str(Path(__file__).parents[2])
    call = "from devicehub.simulator.commands import simulate; simulate()"
    environment = {**os.environ, "PYTHONPATH": root}
    command = [sys.executable, "-c", call, *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_a_run_without_end_is_ended_by_a_signal_with_its_summary(stub: Stub, ended_by: signal.Signals) -> None:
    with typed("--devices", "2", "--interval", "0.1", "--url", stub.url) as process:
        wait_until(lambda: stub.beats.total() >= 5)
        process.send_signal(ended_by)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "beats/s" in output.splitlines()[-1]

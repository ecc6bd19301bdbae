"""The door: `devicehub simulate`."""

import math
import random
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import click
from rich.console import Console

from devicehub.simulator.behaviour import Steady
from devicehub.simulator.client import Client, NoAnswer, Refused
from devicehub.simulator.expectation import Terms
from devicehub.simulator.fleet import Device, Unregistered, assemble, hold_to, promise
from devicehub.simulator.inspection import inspect
from devicehub.simulator.kept import Account, Accounts, Keyring
from devicehub.simulator.progress import watch
from devicehub.simulator.runner import Run
from devicehub.simulator.scenarios import SCENARIOS, Setting
from devicehub.simulator.session import Session, SignInLost, enter
from devicehub.simulator.storm import LEAD_S, Storm

ACCOUNTS, KEYS = Path("var/simulate.json"), Path("var/simulate-keys.json")
CONNECTIONS = 32
STEADY = "steady"


class CannotBegin(click.ClickException):
    exit_code = 2


class Duration(click.ParamType[float]):
    """`30`, `30s`, `2.5m`, `1h` or `500ms`, in seconds."""

    name = "duration"
    _UNITS: ClassVar = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", str(value).strip())
        if not match or not float(match[1]):
            self.fail(f"{value!r} is not a duration; write one such as 30s, 5m or 500ms.", param, ctx)
        return float(match[1]) * self._UNITS[match[2]]


@click.command()
@click.option("--devices", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many.")
@click.option("--interval", default="5", show_default=True, type=Duration(), help="Between two beats of a device.")
@click.option("--for", "seconds", type=Duration(), help="How long, such as 30s; else until Ctrl-C.")
@click.option("--url", default="http://127.0.0.1:5000", show_default=True, help="The server.")
@click.option("--email", help="Whose fleet; else a demo account, signed up once and remembered.")
@click.option("--password", help="The password of --email; asked for when left out.")
@click.option(
    "--connections", default=CONNECTIONS, show_default=True, type=click.IntRange(1, 512), help="At once."
)
@click.option(
    "--scenario",
    default=STEADY,
    show_default=True,
    type=click.Choice([STEADY, *SCENARIOS]),
    help="How they beat; all but steady are checked.",
)
@click.option(
    "--tolerance", default="1", show_default=True, type=Duration(), help="How long news may be on its way to us."
)
@click.option(
    "--share", default=30, show_default=True, type=click.IntRange(0, 100), help="Per cent that `silent` silences."
)
def simulate(
    devices: int,
    interval: float,
    seconds: float | None,
    url: str,
    email: str | None,
    password: str | None,
    connections: int,
    scenario: str,
    tolerance: float,
    share: int,
) -> None:
    """Let a fleet of simulated devices beat against a running DeviceHub.

    Signs in, registers the fleet (or finds that of an earlier run again), lets each device beat with a key of its
    own, and shows how they fare. Exits with 0 when every beat was accepted, 1 when one was not, 2 when it could
    not begin.

    The scenarios are storms: flap (devices fall silent until they are offline, and return), reconnect-burst (all
    fall silent, and return within a second), clock-drift (their clocks are wrong), duplicates (beats come twice,
    late and out of order), silent (some fall silent for good). Each runs as long as it needs at least, and
    compares what the API and the live events say with what presence must have been; exits with 1 if they differ.
    """
    account = _account(email, password)
    with closing(_client(url)) as client:
        if scenario == STEADY:
            run = Run(*_prepare(client, account, devices, interval), Steady(interval), connections)
            click.echo(f"{devices:,} devices beat every {interval:g} s at {client.url}. Ctrl-C ends it.")
            _carry_out(run, seconds)
            click.echo(run.tally.summary())
            _judge(run)
        else:
            terms = Terms(promise(interval), tolerance)
            session, fleet = _prepare(client, account, devices, terms.interval)
            setting = Setting(devices, terms, seconds or 0.0, share / 100)
            _weather(session, fleet, scenario, setting, connections)


def _weather(session: Session, fleet: Sequence[Device], scenario: str, setting: Setting, connections: int) -> None:
    """Let a storm pass over the fleet, and judge what was said of it."""
    console = Console(highlight=False)
    hold_to(session, fleet, math.ceil(setting.interval))
    plan = SCENARIOS[scenario](setting, random.Random())  # noqa: S311
    storm = Storm(session, fleet, plan, connections)
    click.echo(f"{scenario}: {len(plan.shots):,} beats of {len(fleet):,} devices in {plan.ends_at:.0f} s.")
    is_whole = _carry_out(storm, plan.ends_at + LEAD_S)
    if not is_whole:
        raise click.ClickException("It was ended before its time, so there is nothing to judge.")
    verdict = inspect(storm, setting.terms)
    click.echo(storm.tally.summary())
    console.print(verdict.table(f"{scenario}: what was said, beside what had to be"))
    for divergence in verdict.examples():
        click.echo(divergence)
    _judge(storm)
    if not verdict.is_right:
        raise SystemExit(1)


def _account(email: str | None, password: str | None) -> Account | None:
    if not email:
        if password:
            raise click.UsageError("--password goes with --email.")
        return None
    return Account(email, password or click.prompt("Password", hide_input=True))


def _client(url: str) -> Client:
    try:
        return Client(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None


def _prepare(
    client: Client, account: Account | None, devices: int, interval: float
) -> tuple[Session, Sequence[Device]]:
    try:
        session = enter(client, account, Accounts(ACCOUNTS), Keyring(KEYS, client.url), click.echo)
        return session, assemble(session, devices, interval, click.echo)
    except NoAnswer as silence:
        raise CannotBegin(
            f"No server answers at {client.url} ({silence}). Start one (`make run`), or name another (--url)."
        ) from None
    except Refused as refusal:
        raise CannotBegin(f"{client.url} refused: {refusal}") from None
    except (Unregistered, SignInLost) as error:
        raise CannotBegin(str(error)) from None


def _carry_out(run: Run | Storm, seconds: float | None) -> bool:
    """Whether it went on for as long as it was meant to."""
    with _ended_by_signals():
        run.start()
        is_whole = True
        try:
            watch(run, seconds, Console(highlight=False))
        except KeyboardInterrupt:
            click.echo()
            is_whole = False
        run.stop()
    return is_whole and run.failure is None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: with a summary."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _judge(run: Run | Storm) -> None:
    if isinstance(run.failure, SignInLost):
        raise click.ClickException(str(run.failure))
    if run.failure:
        raise run.failure
    if not run.tally.clean:
        raise SystemExit(1)

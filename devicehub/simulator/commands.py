"""The door: `devicehub simulate`."""

import re
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import click
from rich.console import Console

from devicehub.simulator.behaviour import Steady
from devicehub.simulator.client import Client, NoAnswer, Refused
from devicehub.simulator.fleet import Unregistered, assemble
from devicehub.simulator.kept import Account, Accounts, Keyring
from devicehub.simulator.progress import watch
from devicehub.simulator.runner import Run
from devicehub.simulator.session import SignInLost, enter

ACCOUNTS, KEYS = Path("var/simulate.json"), Path("var/simulate-keys.json")
CONNECTIONS = 32


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
def simulate(
    devices: int,
    interval: float,
    seconds: float | None,
    url: str,
    email: str | None,
    password: str | None,
    connections: int,
) -> None:
    """Let a fleet of simulated devices beat against a running DeviceHub.

    Signs in, registers the fleet (or finds that of an earlier run again), lets each device beat with a key of its
    own, and shows how they fare. Exits with 0 when every beat was accepted, 1 when one was not, 2 when it could
    not begin.
    """
    account = _account(email, password)
    with closing(_client(url)) as client:
        run = _prepare(client, account, devices, interval, connections)
        click.echo(f"{devices:,} devices beat every {interval:g} s at {client.url}. Ctrl-C ends it.")
        _carry_out(run, seconds)
    click.echo(run.tally.summary())
    _judge(run)


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


def _prepare(client: Client, account: Account | None, devices: int, interval: float, connections: int) -> Run:
    try:
        session = enter(client, account, Accounts(ACCOUNTS), Keyring(KEYS, client.url), click.echo)
        fleet = assemble(session, devices, interval, click.echo)
    except NoAnswer as silence:
        raise CannotBegin(
            f"No server answers at {client.url} ({silence}). Start one (`make run`), or name another (--url)."
        ) from None
    except Refused as refusal:
        raise CannotBegin(f"{client.url} refused: {refusal}") from None
    except (Unregistered, SignInLost) as error:
        raise CannotBegin(str(error)) from None
    return Run(session, fleet, Steady(interval), connections)


def _carry_out(run: Run, seconds: float | None) -> None:
    with _ended_by_signals():
        run.start()
        try:
            watch(run, seconds, Console(highlight=False))
        except KeyboardInterrupt:
            click.echo()
        run.stop()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: with a summary."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _judge(run: Run) -> None:
    if isinstance(run.failure, SignInLost):
        raise click.ClickException(str(run.failure))
    if run.failure:
        raise run.failure
    if not run.tally.clean:
        raise SystemExit(1)

"""Logs: their commands."""

import secrets
import time
from collections.abc import Callable

import click
from bson import ObjectId
from flask import Flask
from rich.progress import Progress, TextColumn, track

from devicehub.auth import service as auth
from devicehub.core import config, ids, mongo
from devicehub.core.actor import Actor
from devicehub.core.config import Settings
from devicehub.logs import rebuilding, seeding
from devicehub.organizations import service as organizations


@click.group()
def rollups() -> None:
    """What is counted of logs."""


def _organization(_: click.Context, __: click.Parameter, value: str | None) -> ObjectId | None:
    wanted = None if value is None else ids.parse(value)
    if value is not None and wanted is None:
        raise click.BadParameter("an id is 24 hex digits")
    return wanted


@rollups.command()
@click.option("--organization", callback=_organization, metavar="ID", help="Only this one's.")
@click.pass_obj
def rebuild(create_app: Callable[[Settings], Flask], organization: ObjectId | None) -> None:
    """Compare what was counted with the logs, and count again what differs.

    May be run at any time: whoever writes logs meanwhile is counted once.
    """
    settings = config.load_for_command()
    create_app(settings)
    mongo.connect_for_work(settings)
    wanted = [organization] if organization else list(organizations.all_ids())
    days = [(each, day) for each in wanted for day in rebuilding.days_of(each)]
    logs = wrong = mended = 0
    for organization_id, day in track(days, "Counting", disable=not days):
        found = rebuilding.check(organization_id, day)
        logs, wrong, mended = logs + found.logs, wrong + found.wrong, mended + bool(found.wrong)
    click.echo(f"{logs} logs of {len(days)} days; {wrong} counts on {mended} days were wrong, and are right now.")


@click.command()
@click.option("--devices", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="How many.")
@click.option("--logs", default=100_000, show_default=True, type=click.IntRange(1, 100_000_000), help="Of all.")
@click.option("--days", default=80, show_default=True, type=click.IntRange(1, 400), help="Up to now.")
@click.option("--seed", default=1, show_default=True, help="The same past for the same number.")
@click.option("--organization", callback=_organization, metavar="ID", help="Whose; else a new demo account's.")
@click.pass_obj
def seed(
    create_app: Callable[[Settings], Flask],
    devices: int,
    logs: int,
    days: int,
    seed: int,
    organization: ObjectId | None,
) -> None:
    """Make up a fleet and what it logged in the last days, for trying things out."""
    settings = config.load_for_command()
    create_app(settings)
    mongo.connect_for_work(settings)
    actor = _owner(organization)
    plan = seeding.Plan(devices, logs, days, seed)
    begun = time.monotonic()
    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[rate]}")) as progress:
        bar = progress.add_task("Seeding", total=logs, rate="")
        for number in seeding.history(actor, seeding.fleet(actor, plan), plan):
            progress.update(bar, advance=number)
            done = progress.tasks[0].completed
            progress.update(bar, rate=f"{done / (time.monotonic() - begun):,.0f} logs/s")
    spent = time.monotonic() - begun
    click.echo(f"{logs:,} logs of {devices:,} devices in {spent:.1f} s, {logs / spent:,.0f} a second.")


def _owner(organization: ObjectId | None) -> Actor:
    """Who acts: an owner of the organization, or of the new account that is made and told of."""
    if organization is None:
        email, password = f"demo-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(12)
        auth.sign_up(name="Demo", email=email, password=password)
        click.echo(f"Signed up a demo account: {email}, password {password}.")
        grant = auth.log_in(email=email, password=password, ip=None, user_agent="devicehub seed")
        return Actor(grant.user_id, grant.organization_id, "owner", kind="system")
    user_id = organizations.owner_of(organization)
    return Actor(str(user_id), str(organization), "owner", kind="system")


commands = (rollups, seed)

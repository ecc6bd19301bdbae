"""Accounts, secrets and sessions: what the operator of a DeviceHub does by hand."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click
from flask import Flask
from marshmallow import ValidationError

from devicehub.auth import admins, revocation
from devicehub.auth.errors import UnfitPassword
from devicehub.auth.schemas import SignUpSchema
from devicehub.core import cache, config, crypto, migrations
from devicehub.core.config import Settings
from devicehub.core.redis import RedisAway
from devicehub.users.models import User

CreateApp = Callable[[Settings], Flask]


@click.command()
@click.option("--email", required=True)
@click.option("--name", help="Of a new account; asked for when left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password of a new account from stdin, do not ask.")
@click.option("--yes", is_flag=True, help="Promote an account that is there without asking.")
@click.pass_obj
def create_admin(create_app: CreateApp, email: str, name: str | None, password_stdin: bool, yes: bool) -> None:
    """Make a platform admin: a new account with an organization of its own, or one that is there.

    The password of an account that is there stays as it is.
    """
    settings = config.load_for_command()
    create_app(settings)
    migrations.migrate(settings)
    user = admins.find(email)
    if user is not None:
        _promote(user, yes)
        return
    if password_stdin and not name:
        raise click.UsageError("--password-stdin needs --name: stdin has the password.")
    account = {"name": name or click.prompt("Name"), "email": email, "password": _password(password_stdin)}
    try:
        admins.create(**SignUpSchema().load(account))
    except ValidationError as error:
        raise click.ClickException(_sentences(error.messages_dict)) from None
    except UnfitPassword as error:
        raise click.ClickException(_sentences(error.errors or {})) from None
    click.echo(f"{email} is a platform admin, with an organization of their own.")


def _promote(user: User, yes: bool) -> None:
    if user.role == "admin":
        click.echo(f"{user.email} is a platform admin already.")
        return
    if not yes:
        click.confirm(f"{user.email} exists ({user.name}). Make them a platform admin?", abort=True)
    admins.promote(user)
    click.echo(f"{user.email} is a platform admin now.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def _sentences(errors: Mapping[str, Any]) -> str:
    return " ".join(f"{name}: {' '.join(reasons)}" for name, reasons in errors.items())


@click.group("secrets")
def secrets_group() -> None:
    """The secrets of the settings."""


@secrets_group.command()
def new() -> None:
    """Print a fresh pair for `.env`."""
    for name in ("JWT_SECRET", "JWT_REFRESH_SECRET"):
        click.echo(f"{name}={crypto.random_token(48)}")


@click.group("sessions")
def sessions_group() -> None:
    """Everybody's sessions."""


@sessions_group.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def revoke_all(create_app: CreateApp, yes: bool) -> None:
    """End every session of everyone: all have to sign in again."""
    create_app(config.load_for_command())
    if not yes:
        click.confirm("End every session of everyone?", abort=True)
    ended = sum(revocation.end_everyones())
    click.echo(f"Sessions ended: {ended}.")
    try:
        cache.current().settle()  # or a word to Redis was lost on the way, and somebody believes what it remembers
    except RedisAway:
        click.echo("Redis is away: a process that has it may believe in what it remembers for 30 s.", err=True)


commands = (create_admin, secrets_group, sessions_group)

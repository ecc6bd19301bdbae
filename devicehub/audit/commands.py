"""The audit trail: its commands."""

import sys
from collections.abc import Callable
from typing import BinaryIO

import click
from bson import ObjectId
from flask import Flask

from devicehub.audit import verification
from devicehub.audit.verification import Finding
from devicehub.core import config, ids
from devicehub.core.config import Settings


@click.group()
def audit() -> None:
    """The audit trail."""


def _organization(_: click.Context, __: click.Parameter, value: str | None) -> ObjectId | None:
    wanted = None if value is None else ids.parse(value)
    if value is not None and wanted is None:
        raise click.BadParameter("an id is 24 hex digits")
    return wanted


@audit.command()
@click.option("--organization", callback=_organization, metavar="ID", help="Only this one's.")
@click.option(
    "--witness", multiple=True, type=click.File("rb"), help="A log of DeviceHub's to compare with; - reads stdin."
)
@click.pass_obj
def verify(
    create_app: Callable[[Settings], Flask], organization: ObjectId | None, witness: tuple[BinaryIO, ...]
) -> None:
    """Prove that no entry of the audit trail was changed, removed or slipped in.

    Prints for every organization which sequences are kept and how many, whether the chain holds, and the hash it
    ends with. With a --witness it compares what the log says was written, so that an end that was cut off is
    seen, too. Exits with 1 when a chain is broken.
    """
    create_app(config.load_for_command())
    told = verification.testimony(line for log in witness for line in log)
    wanted = [organization] if organization else sorted({*verification.organizations(), *told})
    broken = 0
    for organization_id in wanted:
        found = verification.verify(organization_id, told.get(organization_id, {}))
        click.echo(_sentence(found))
        broken += found.broken_at is not None
    click.echo(f"Broken: {broken} of {len(wanted)}.")
    sys.exit(1 if broken else 0)


def _sentence(found: Finding) -> str:
    said = f"{found.organization_id}  {found.first} to {found.last}, {found.entries} kept"
    if found.broken_at is not None:
        return f"{said}, BROKEN at {found.broken_at}: {found.why}"
    return f"{said}, ok, {found.head}"


commands = (audit,)

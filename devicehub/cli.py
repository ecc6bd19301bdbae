"""`devicehub ...`: the commands of every feature."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from pymongo.errors import PyMongoError

from devicehub import __version__
from devicehub.core import config, logging, migrations, mongo
from devicehub.core.config import ConfigurationError, Settings
from devicehub.core.errors import DeviceHubError
from devicehub.features import doors
from devicehub.simulator.commands import simulate

if TYPE_CHECKING:
    from flask import Flask


class Commands(click.Group):
    """Ours, and those of the features: no more of them are imported than it takes to find what was typed."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        found = (command for command in _of_features() if command.name == name)
        return super().get_command(ctx, name) or next(found, None)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*self.commands, *(str(command.name) for command in _of_features())])


def _of_features() -> Iterator[click.Command]:
    for door in doors("commands"):
        yield from door.commands


@click.group(cls=Commands)
@click.version_option(__version__)
def devicehub() -> None:
    """DeviceHub, the open device-management backend."""


@devicehub.command()
def migrate() -> None:
    """Bring the database up to date."""
    settings = config.load_for_command()
    logging.setup(settings)
    applied = migrations.migrate(settings)
    click.echo(f"Applied {', '.join(applied)}." if applied else "Nothing to do.")


devicehub.add_command(simulate)


def create_app(settings: Settings) -> "Flask":
    """The application, which takes longer to import than most commands to run: a refusal comes without it."""
    from devicehub import app

    return app.create_app(settings)


def main() -> None:
    """The console script: what is wrong with the settings, or away, is one sentence and no trace."""
    try:
        devicehub(obj=create_app)
    except (ConfigurationError, DeviceHubError) as error:
        sys.exit(f"devicehub: {error}")
    except PyMongoError as error:
        if not mongo.is_outage(error):
            raise
        sys.exit("devicehub: MongoDB does not answer; what was not reported was not done.")


if __name__ == "__main__":
    main()

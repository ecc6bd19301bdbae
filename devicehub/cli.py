"""`devicehub ...`: the commands of every feature."""

import sys
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


class Whole(click.Group):
    """Commands of its own and those of every feature, which is imported once a command is looked for in it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            for door in doors("commands"):
                found = {command.name: command for command in door.commands}
                if cmd_name in found:
                    self.add_command(found[cmd_name])
                    break
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        for door in doors("commands"):
            for command in door.commands:
                self.add_command(command)
        return super().list_commands(ctx)


@click.group(cls=Whole)
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

"""`devicehub ...`: the commands of every feature."""

import sys

import click

from devicehub import __version__
from devicehub.app import create_app
from devicehub.core import config, logging, migrations
from devicehub.core.config import ConfigurationError
from devicehub.features import doors
from devicehub.simulator.commands import simulate


@click.group()
@click.version_option(__version__)
def devicehub() -> None:
    """DeviceHub, the open device-management backend."""


@devicehub.command()
def migrate() -> None:
    """Bring the database up to date."""
    settings = config.load()
    logging.setup(settings)
    applied = migrations.migrate(settings)
    click.echo(f"Applied {', '.join(applied)}." if applied else "Nothing to do.")


devicehub.add_command(simulate)


def main() -> None:
    """The console script: an error in the settings is one sentence, not a trace."""
    for door in doors("commands"):
        for command in door.commands:
            devicehub.add_command(command)
    try:
        devicehub(obj=create_app)
    except ConfigurationError as error:
        sys.exit(f"devicehub: {error}")


if __name__ == "__main__":
    main()

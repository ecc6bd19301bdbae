"""`devicehub ...`: the commands of every feature."""

import sys

import click
from pymongo.errors import PyMongoError

from devicehub import __version__
from devicehub.app import create_app
from devicehub.core import config, logging, migrations, mongo
from devicehub.core.config import ConfigurationError
from devicehub.core.errors import DeviceHubError
from devicehub.features import doors
from devicehub.simulator.commands import simulate


@click.group()
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


def whole() -> click.Group:
    """`devicehub` with the commands of every feature."""
    for door in doors("commands"):
        for command in door.commands:
            devicehub.add_command(command)
    return devicehub


def main() -> None:
    """The console script: what is wrong with the settings, or away, is one sentence and no trace."""
    try:
        whole()(obj=create_app)
    except (ConfigurationError, DeviceHubError) as error:
        sys.exit(f"devicehub: {error}")
    except PyMongoError as error:
        if not mongo.is_outage(error):
            raise
        sys.exit("devicehub: MongoDB does not answer; what was not reported was not done.")


if __name__ == "__main__":
    main()

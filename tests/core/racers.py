"""A process that loads its settings in the same moment as others do."""

from typing import Any

from devicehub.core import config


def load_when_all_are_there(var: str, servers: dict[str, str], barrier: Any, found: Any) -> None:
    """Load the settings of development from an empty folder, and tell which secrets came of it."""
    named = {name.lower(): address for name, address in servers.items()}
    nothing = {"jwt_secret": "", "jwt_refresh_secret": ""}
    barrier.wait()
    settings = config.load(_env_file=None, app_env="development", devicehub_var=var, **named, **nothing)
    found.put((settings.jwt_secret, settings.jwt_refresh_secret))

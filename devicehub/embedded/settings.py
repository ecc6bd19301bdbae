"""What a run must know of the settings: `python -m devicehub.embedded.settings` writes it as JSON.

A program of its own, which ends: what it takes to read settings would weigh on the supervisor all its life.
"""

import json
import sys
from typing import Literal

from devicehub.core import config
from devicehub.core.config import ConfigurationError, Settings


class RunSettings(Settings):
    """Everyone's settings, except that a run without any is a development run."""

    app_env: Literal["development", "production"] = "development"


def main() -> None:
    """Write what `launch.Wishes` holds, or refuse with a sentence."""
    try:
        settings = config.read(RunSettings)
    except ConfigurationError as error:
        sys.exit(str(error))
    wishes = {
        "app_env": settings.app_env,
        "var": str(settings.devicehub_var.resolve()),
        "host": settings.devicehub_host,
        "port": settings.port,
        "port_is_chosen": "port" in settings.model_fields_set,
        "has_mongodb": bool(settings.mongodb_uri),
        "has_redis": bool(settings.redis_address),
    }
    print(json.dumps(wishes))


if __name__ == "__main__":
    main()

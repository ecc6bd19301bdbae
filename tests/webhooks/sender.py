"""A process as it serves, under gevent, that only sends what is due: `python -m tests.webhooks.sender`."""

from gevent import monkey

monkey.patch_all()

import time  # noqa: E402

from devicehub.app import create_app  # noqa: E402
from devicehub.core import config  # noqa: E402
from devicehub.webhooks import draining  # noqa: E402

if __name__ == "__main__":
    create_app(config.load())
    while True:
        draining.sweep()
        time.sleep(0.05)

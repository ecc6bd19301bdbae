"""`create_app`: the only place that knows every part."""

import threading
import time

import structlog
from flask import Flask
from pymongo.errors import PyMongoError

from devicehub import reactions
from devicehub.auth import uses
from devicehub.base import create_base
from devicehub.core import cache, config, migrations, mongo
from devicehub.core.config import Settings
from devicehub.core.duties import Duty
from devicehub.devices import sweeper
from devicehub.extensions import api, socketio
from devicehub.features import doors
from devicehub.jobs import sweeping
from devicehub.jobs.schedule import Scheduler
from devicehub.notifications import offline
from devicehub.realtime import hub, manager, rounds
from devicehub.realtime import service as realtime
from devicehub.reports import due
from devicehub.web import beats, errors, hooks, identity, limits, openapi, paths
from devicehub.webhooks import draining

log = structlog.get_logger(__name__)


def create_app(settings: Settings) -> Flask:
    """Put the application together. Nothing is connected to yet: every client connects on its first use."""
    app = create_base(settings)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    paths.init_app(app)
    hooks.init_app(app)
    identity.init_app(app)
    limits.init_app(app)
    openapi.init_app(app)
    errors.init_app(app)
    for door in doors("routes"):
        own = getattr(door, "blp", None)
        for blp in getattr(door, "blueprints", (own,) if own else ()):
            api.register_blueprint(blp)
        if hasattr(door, "pages"):
            app.register_blueprint(door.pages)
    manager.init_socketio(app, settings, memberships=identity.memberships)
    for door in doors("sockets"):
        door.register(socketio)
    app.wsgi_app = hooks.in_front(beats.in_front(app.wsgi_app))  # type: ignore[assignment, method-assign]
    return app


def start(app: Flask) -> None:
    """Begin what a serving process does besides answering: migrate, take up duties, hear events."""
    for task in (_begin, cache.current().keep_settled, uses.keep_writing):
        threading.Thread(target=task, name=task.__name__, daemon=True).start()
    if config.current().devicehub_role != "api":
        realtime.start(app)
        rounds.keep(hub.ours())


def _begin() -> None:
    """Migrate, and then take up the duties: what they do needs its indexes."""
    _migrate()
    if migrations.done.is_set():
        for duty in _duties():
            duty.start()


def _duties() -> tuple[Duty, ...]:
    """What one of all serving processes does."""
    scheduler = Scheduler(reactions.EVERY)
    return (
        sweeper.duty(),
        offline.duty(),
        due.duty(),
        *draining.duties(),
        Duty("job-sweeper", sweeping.sweep, every=5, lease=15),
        Duty("job-scheduler", scheduler.step, every=5, lease=15),
    )


def _migrate() -> None:
    """Until it is done; a database that is away at start is waited for, and said so once."""
    waiting = False
    while True:
        try:
            migrations.migrate(config.current())
            return
        except PyMongoError as error:
            if not mongo.is_outage(error):
                log.exception("migration.failed")
                return
            if not waiting:
                log.warning("mongodb.away_at_start", error=type(error).__name__)
                waiting = True
            time.sleep(0.5)

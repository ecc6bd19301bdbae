"""`create_base`: what services and jobs stand on. A worker has no more than this; `create_app` adds the doors."""

from flask import Flask

from devicehub import reactions
from devicehub.audit import trail
from devicehub.core import cache, config, events, live, logging, mongo, queue, redis, turnstile
from devicehub.core.cache import Cache
from devicehub.core.config import Settings
from devicehub.core.live import Live
from devicehub.core.turnstile import Turnstile
from devicehub.jobs import askers, reacting
from devicehub.notifications import hearing
from devicehub.organizations import service as organizations
from devicehub.realtime import hints, publishing
from devicehub.realtime.publishing import Publisher
from devicehub.webhooks import hearing as webhooks


def create_base(settings: Settings) -> Flask:
    """An application without doors. Nothing is connected to yet: every client connects on its first use."""
    config.use(settings)
    logging.setup(settings)
    mongo.connect(settings)
    redis.connect(settings)
    queue.connect(settings)
    turnstile.use(Turnstile(settings.requests_at_once))
    askers.know_by(organizations.memberships)

    app = Flask("devicehub", static_folder=None)
    cache.use(Cache(redis.current(), cache.store_for(app, redis.current())))
    live.use(Live(redis.current(), cache.current()))
    publishing.use(Publisher(redis.current(), window=settings.event_window))
    events.attach(trail.hear, publishing.relay, hints.relay, hearing.hear, reacting.to(reactions.ON))
    events.attach_keepers(webhooks.hear)
    return app

"""RQ's dashboard, as rq-dashboard brings it: behind our guard, on our Redis, under our policy.

Its views hang on a blueprint of ours: its own would connect to Redis by itself, anew with each request.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import rq_dashboard
from flask import Blueprint, Response, current_app, g, render_template, request
from redis.exceptions import RedisError
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from werkzeug.exceptions import MethodNotAllowed

from devicehub.audit import service as audit
from devicehub.console import entries, passes, templates
from devicehub.core import crypto, queue, redis
from devicehub.core.errors import Conflict, DeviceHubError, NotFound, Unavailable
from devicehub.web import cookies, errors, identity
from devicehub.web.guards import Guard
from devicehub.web.responses import static_file

COOKIE = "dh_console"
ADMINS = Guard("viewer", platform_admin=True)
_PAGES = {f"rq_dashboard.{name}" for name in ("queues_overview", "jobs_overview", "workers_overview", "job_view")}
_REGISTRIES = {"queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"}
_SAFE = {"GET", "HEAD", "OPTIONS"}
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

dashboard = Blueprint("rq_dashboard", rq_dashboard.__name__, url_prefix="/rq", template_folder="templates")
dashboard.deferred_functions.extend(rq_dashboard.blueprint.deferred_functions)
dashboard.add_app_template_filter(templates.compiled)
entries.read_as_json()
_STATIC = Path(dashboard.root_path) / "static"


class EntryNotFound(NotFound):
    title = "No such entry"
    detail = "Redis holds no such entry, or not any more: its job may be done, or brought again later."


class EntryNotFailed(Conflict):
    title = "Entry has not failed"
    detail = "Only an entry that failed goes back into its queue."


class RedisDoesNotAnswer(Unavailable):
    detail = "Redis does not answer, and the queue lies there. The jobs themselves do not: none is lost."


_NAMES: dict[type[Exception], type[DeviceHubError]] = {
    NoSuchJobError: EntryNotFound,
    InvalidJobOperation: EntryNotFailed,
    RedisError: RedisDoesNotAnswer,
}


def _told_as(name: type[DeviceHubError], _: Exception) -> Response:
    return errors.render(name())


for _theirs, _ours in _NAMES.items():
    dashboard.register_error_handler(_theirs, partial(_told_as, _ours))


@dashboard.before_request
def _guard() -> None:
    """Only platform admins, by cookie or access token; and only our pages may change something."""
    actor = passes.holder(request.cookies.get(COOKIE, "")) or identity.current_actor()
    g.actor = replace(actor, request_id=g.request_id, ip=request.remote_addr)
    ADMINS.accept(actor)
    ADMINS.admit(actor)
    if request.method not in _SAFE:
        cookies.refuse_foreign()
    elif request.endpoint == "rq_dashboard.requeue_all":  # which would change something at a mere GET
        raise MethodNotAllowed(["POST"])


@dashboard.before_request
def _prepare() -> None:
    """Let the views ask our Redis, and only what they can answer; where no queue is named, about ours."""
    values = request.view_args or {}
    if not _is_an_address(values):
        raise NotFound()
    if values.get("queue_name", queue.QUICK) is None:
        values["queue_name"] = queue.QUICK
    if request.endpoint != "rq_dashboard.static":
        if not redis.current().is_alive():
            raise RedisDoesNotAnswer()
        current_app.redis_conn = redis.current().client  # type: ignore[attr-defined]


def _is_an_address(values: Mapping[str, Any]) -> bool:
    """Whether the views can make something of the parts of a path."""
    numbers = [str(values.get(name, 1)) for name in ("page", "per_page")]
    return (
        values.get("instance_number", 0) == 0
        and values.get("registry_name", "queued") in _REGISTRIES
        and all(number.isascii() and number.isdigit() and 0 < int(number) < 1_000_000 for number in numbers)
    )


@dashboard.get("/static/<path:filename>", endpoint="static")
def _static(filename: str) -> Response:
    return static_file(_STATIC, filename)


@dashboard.context_processor
def _words() -> dict[str, Any]:
    g.nonce = crypto.random_token(16)
    return {"nonce": g.nonce, "poll_interval": 2500}


@dashboard.after_request
def _finish(response: Response) -> Response:
    """Tell a refusal as a page where one was asked for, and the audit trail what was done to entries."""
    if request.endpoint in _PAGES and response.mimetype == "application/problem+json":
        response.set_data(render_template("door.html", problem=response.json))
        response.content_type = "text/html; charset=utf-8"
    if "nonce" in g:
        response.headers["Content-Security-Policy"] = _POLICY.format(nonce=g.nonce)
        response.headers["Cache-Control"] = "no-store"
    actor = identity.known_actor()
    if request.method not in _SAFE and actor is not None and actor.is_platform_admin:
        was_done = response.status_code < 400
        audit.record(actor, "queue.touched", target=request.path, outcome="done" if was_done else "failed")
    return response

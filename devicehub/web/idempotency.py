"""`Idempotency-Key`: the same request twice is done once and answered alike, for 24 hours.

The rows lie in MongoDB, so it works without Redis. Each carries a seed that the ids of what is made are derived
from: a twin that takes over after a crash finds what the first had made already, instead of making it again.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import structlog
from bson import Binary, ObjectId
from flask import Response, g, request
from pymongo.errors import DuplicateKeyError, PyMongoError

from devicehub.core import clock, crypto, ids, mongo
from devicehub.core.errors import Conflict, DeviceHubError, InvalidInput
from devicehub.web import errors, openapi
from devicehub.web.identity import current_actor

log = structlog.get_logger(__name__)

COLLECTION = "idempotency_keys"
KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=60)
LONGEST_KEY = 255
_HEADERS = ("Content-Type", "Location")

View = Callable[..., Response]


class IdempotencyKeyReused(InvalidInput):
    code = "IDEMPOTENCY_KEY_REUSED"
    title = "Idempotency key reused"
    detail = "This Idempotency-Key was sent before with another body."


class IdempotencyInProgress(Conflict):
    code = "IDEMPOTENCY_IN_PROGRESS"
    title = "Idempotency in progress"
    detail = "The same request is being worked on; try again shortly."


_PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
    "description": "Any text of your choice: the same request sent again with it is done once.",
}


def accepted(view: View) -> View:
    """Let a view that makes something be asked twice; below `arguments`, so that refusals are not kept."""

    @wraps(view)
    def once(*args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return view(*args, **kwargs)
        if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidInput(errors={"Idempotency-Key": ["1 to 255 visible ASCII characters."]})
        row_id, seed, kept = _claim(key)
        if kept is not None:
            return _replay(kept)
        g.idempotency_seed = seed
        return _run(row_id, view, args, kwargs)

    failures = (IdempotencyInProgress, IdempotencyKeyReused)
    noted: View = openapi.note(once, errors=failures, parameters=[_PARAMETER])
    return noted


def derived_id(index: int = 0) -> ObjectId | None:
    """The id to give to the `index`th thing this request makes; None when it carries no key."""
    seed = g.get("idempotency_seed")
    return ids.derived(seed, index) if seed is not None else None


def keep_instead(response: Response) -> None:
    """Keep this answer in place of the one that is given, which tells something that is told once."""
    g.idempotency_kept = response


def _claim(key: str) -> tuple[str, str, dict[str, Any] | None]:
    """Take the key for this request, or find what was answered to it: (row id, seed, answer)."""
    actor = current_actor()
    row_id = crypto.digest(
        f"{actor.organization_id}|{actor.key_id or actor.user_id}|{request.method}|{request.path}|{key}"
    )
    body = crypto.digest(request.get_data(cache=True))
    moment = clock.now()
    row = {"_id": row_id, "body": body, "seed": crypto.random_token(16), "lease_until": moment + LEASE}
    rows = mongo.database()[COLLECTION]
    try:
        rows.insert_one(row | {"answer": None, "expires_at": moment + KEPT})
    except DuplicateKeyError:
        return _take_over(row_id, body)
    return row_id, str(row["seed"]), None


def _take_over(row_id: str, body: str) -> tuple[str, str, dict[str, Any] | None]:
    rows, moment = mongo.database()[COLLECTION], clock.now()
    row = rows.find_one({"_id": row_id})
    if row is None:  # its day has just ended
        raise IdempotencyInProgress(headers={"Retry-After": "1"})
    if row["body"] != body:
        raise IdempotencyKeyReused()
    if row["answer"] is not None:
        return row_id, row["seed"], row["answer"]
    died = {"_id": row_id, "answer": None, "lease_until": {"$lt": moment}}
    if not rows.update_one(died, {"$set": {"lease_until": moment + LEASE}}).modified_count:
        raise IdempotencyInProgress(headers={"Retry-After": "1"})
    return row_id, row["seed"], None


def _run(row_id: str, view: View, args: Any, kwargs: Any) -> Response:
    try:
        response = view(*args, **kwargs)
    except DeviceHubError as error:
        if error.status >= 500:
            _let_go(row_id)
            raise
        response = errors.render(error)
    except Exception:
        _let_go(row_id)
        raise
    _keep(row_id, g.get("idempotency_kept") or response)
    return response


def _keep(row_id: str, response: Response) -> None:
    answer = {
        "status": response.status_code,
        "headers": [[name, response.headers[name]] for name in _HEADERS if name in response.headers],
        "body": Binary(response.get_data()),
    }
    try:
        # The first answer stays, also when its twin took so long that it was taken for dead.
        mongo.database()[COLLECTION].update_one({"_id": row_id, "answer": None}, {"$set": {"answer": answer}})
    except PyMongoError as error:  # it is done; who asks again after the lease finds what was made
        log.warning("idempotency.not_kept", error=type(error).__name__)


def _let_go(row_id: str) -> None:
    """Let the next try at once; under the same seed, for what failed may have been done after all."""
    lapsed = {"lease_until": clock.now() - LEASE}
    try:
        mongo.database()[COLLECTION].update_one({"_id": row_id, "answer": None}, {"$set": lapsed})
    except PyMongoError as error:  # its lease ends by itself
        log.warning("idempotency.not_let_go", error=type(error).__name__)


def _replay(answer: dict[str, Any]) -> Response:
    headers = [*((name, value) for name, value in answer["headers"]), ("Idempotent-Replayed", "true")]
    return Response(bytes(answer["body"]), status=answer["status"], headers=headers)

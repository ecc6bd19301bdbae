"""Sending what is owed: a duty of one serving process, which claims webhooks that are due and drains each apart.

A receiver is waited for by its own thread (a greenlet, as the serving processes are patched), so one that hangs
holds up nobody else. It is no job: a worker forks a process for each, does one at a time, and would have mails and
exports wait for whoever does not answer.
"""

import threading
import time
from datetime import timedelta

import structlog

from devicehub.core import clock, mongo
from devicehub.core.duties import Duty
from devicehub.webhooks import claims, deliveries, failing, signing
from devicehub.webhooks.claims import Row
from devicehub.webhooks.sending import Outcome, Sender

log = structlog.get_logger(__name__)

EVERY_S, LEASE_S = 1.0, 15.0
MOST_AT_ONCE = 32
# So long one is sent to before the next has its turn; with the last attempt it stays below the life of a claim.
TURN_S = 20.0
# A receiver that is down is not asked over and over by everything that waits for it.
MOST_FAILURES, REST = 3, timedelta(seconds=5)

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def duties() -> tuple[Duty, ...]:
    """What one of the serving processes does: every second what is due, now and then what was forgotten."""
    return (
        Duty("webhooks", sweep, every=EVERY_S, lease=LEASE_S),
        Duty("webhooks-forgotten", deliveries.mark_forgotten, every=60, lease=180),
    )


def sweep() -> None:
    """Begin to drain every webhook that is due, as far as there are places."""
    while _places.acquire(blocking=False):
        webhook = _taken()
        if webhook is None:
            _places.release()
            return
        threading.Thread(target=_drain_apart, args=[webhook], name="webhook", daemon=True).start()


def _taken() -> Row | None:
    try:
        return claims.take()
    except BaseException:
        _places.release()
        raise


def _drain_apart(webhook: Row) -> None:
    with structlog.contextvars.bound_contextvars(webhook_id=str(webhook["_id"])):
        try:
            drain(webhook)
        except Exception as error:  # the claim lapses, and it is due again
            if not mongo.is_outage(error):
                log.exception("webhook.left")
        finally:
            _places.release()


def drain(webhook: Row) -> None:
    """Send what a claimed webhook is owed by now, in order, for the length of a turn."""
    if webhook.get("untold"):
        failing.tell(webhook)
    if not webhook["enabled"]:
        deliveries.give_up(webhook["_id"])
    failed = _send(webhook)
    following = deliveries.next_of(webhook["_id"])
    moment = clock.now()
    rest_until = moment + REST if failed >= MOST_FAILURES else None
    due_at = max(following["due_at"], rest_until or moment) if following else None
    claims.release(webhook, due_at, rest_until=rest_until)


def _send(webhook: Row) -> int:
    """Send one delivery after another; returns how many failed in a row at the end."""
    failed, ends_at = 0, time.monotonic() + TURN_S
    with Sender() as sender:
        while failed < MOST_FAILURES and time.monotonic() < ends_at:
            present, delivery = claims.still(webhook), deliveries.next_of(webhook["_id"])
            if present is None or delivery is None or delivery["due_at"] > clock.now():
                break
            outcome = _attempt(sender, present, delivery)
            failed = 0 if outcome.is_success else failed + 1
    return failed


def _attempt(sender: Sender, webhook: Row, delivery: Row) -> Outcome:
    event_id, body = delivery["event_id"], delivery["body"]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "DeviceHub-Webhooks/1",
        **signing.headers(webhook, event_id, body),
    }
    outcome = sender.post(webhook["url"], headers, body)
    deliveries.note(delivery, outcome)
    failing.note(webhook, outcome)
    log.info("webhook.attempted", event_id=event_id, status_code=outcome.status_code, error=outcome.error)
    return outcome

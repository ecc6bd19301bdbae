"""Webhooks: where an organization wants to be told, and of what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.audit import service as audit
from devicehub.core import clock, crypto, ids
from devicehub.core.actor import Actor
from devicehub.core.events import emit
from devicehub.core.paging import After, Page, Stretch
from devicehub.webhooks import addresses, deliveries, listening, signing
from devicehub.webhooks.errors import TooManyWebhooks, WebhookDisabled, WebhookNotFound
from devicehub.webhooks.messages import Message
from devicehub.webhooks.models import PING, Delivery, Webhook

MOST = 10
_SALT_BYTES = 18


def find(actor: Actor, page: Page) -> tuple[list[Webhook], int]:
    """A page of the organization's webhooks, newest first, and how many there are."""
    ours = Webhook.objects.visible_to(actor)
    return list(ours.order_by("-id").skip(page.skip).limit(page.limit)), ours.count()


def get(actor: Actor, webhook_id: str) -> Webhook:
    """One webhook; raises WebhookNotFound."""
    webhook: Webhook | None = _ours(actor, webhook_id).first()
    if webhook is None:
        raise WebhookNotFound(webhook_id=webhook_id)
    return webhook


def create(actor: Actor, *, url: str, events: list[str], description: str = "") -> tuple[Webhook, str]:
    """Make one: it, and its secret, which is told this once; raises InvalidInput or TooManyWebhooks."""
    addresses.judge(url)
    webhook = Webhook(
        id=ObjectId(),
        organization_id=ObjectId(actor.organization_id),
        url=url,
        events=sorted(set(events)),
        description=description,
        salt=crypto.random_token(_SALT_BYTES),
        created_at=clock.now(),
    )
    told = {"url": url, "events": webhook.events}
    made = audit.intended(actor, "webhook.created", target=str(webhook.id), changes=told)
    with made, listening.changing(actor.organization_id):
        _insert(actor, webhook)
    return webhook, signing.secret(webhook.id, webhook.salt)


def _insert(actor: Actor, webhook: Webhook) -> None:
    """Write it into a free place; of two that take the same, the index lets one, and the other looks again."""
    for _ in range(MOST):
        free = set(range(MOST)) - set(Webhook.objects.visible_to(actor).scalar("slot"))
        if not free:
            break
        webhook.slot = min(free)
        try:
            webhook.save(force_insert=True)
        except NotUniqueError:
            continue
        return
    raise TooManyWebhooks(most=MOST)


def update(actor: Actor, webhook_id: str, changes: Mapping[str, Any]) -> Webhook:
    """Change one, from the next attempt on; enabling it starts afresh. Raises InvalidInput or WebhookNotFound."""
    if not changes:
        return get(actor, webhook_id)
    if "url" in changes:
        addresses.judge(changes["url"])
    get(actor, webhook_id)
    with audit.intended(actor, "webhook.updated", target=webhook_id, changes=changes):
        with listening.changing(actor.organization_id):
            webhook: Webhook | None = _ours(actor, webhook_id).modify(new=True, __raw__=_update(changes))
        if webhook is None:  # deleted meanwhile
            raise WebhookNotFound(webhook_id=webhook_id)
        if not webhook.enabled:
            deliveries.give_up(webhook.id)
    return webhook


def _update(changes: Mapping[str, Any]) -> dict[str, Any]:
    stored = dict(changes)
    if "events" in changes:
        stored["events"] = sorted(set(changes["events"]))
    if not changes.get("enabled"):
        return {"$set": stored}
    past = ("disabled_reason", "disabled_at", "untold", "failing_since")
    return {"$set": stored | {"failures": 0}, "$unset": dict.fromkeys(past, "")}


def delete(actor: Actor, webhook_id: str) -> None:
    """Delete one; what it was told is forgotten in the background. Raises WebhookNotFound."""
    webhook = get(actor, webhook_id)
    with audit.intended(actor, "webhook.deleted", target=webhook_id, changes={"url": webhook.url}):
        with listening.changing(actor.organization_id):
            if not _ours(actor, webhook_id).delete():
                raise WebhookNotFound(webhook_id=webhook_id)
        emit("webhook.deleted", actor, webhook_id=str(webhook.id))


def rotate(actor: Actor, webhook_id: str) -> tuple[str, datetime]:
    """Give one another secret: it, told this once, and until when the former signs too; raises WebhookNotFound."""
    webhook, salt = get(actor, webhook_id), crypto.random_token(_SALT_BYTES)
    until = clock.now() + signing.OVERLAP
    with audit.intended(actor, "webhook.secret_rotated", target=webhook_id):
        change = {"salt": salt, "former_salt": "$salt", "former_until": until}
        if not _ours(actor, webhook_id).update_one(__raw__=[{"$set": change}]):
            raise WebhookNotFound(webhook_id=webhook_id)
    return signing.secret(webhook.id, salt), until


def ping(actor: Actor, webhook_id: str) -> Delivery:
    """Send one a delivery that tells of nothing; raises WebhookNotFound or WebhookDisabled."""
    webhook = _enabled(actor, webhook_id)
    event_id = "evt_" + crypto.digest(crypto.random_token())
    message = Message(event_id, PING, actor.organization_id, clock.now(), {"webhookId": str(webhook.id)})
    draft = deliveries.drafted(webhook.id, message)
    deliveries.owe([draft])
    return deliveries.get(actor, webhook.id, str(draft["_id"]))


def find_deliveries(actor: Actor, webhook_id: str, query: Mapping[str, Any], after: After) -> Stretch[Delivery]:
    """What one was told and is owed, newest first; raises WebhookNotFound."""
    return deliveries.find(actor, get(actor, webhook_id).id, query, after)


def get_delivery(actor: Actor, webhook_id: str, delivery_id: str) -> Delivery:
    """One delivery; raises WebhookNotFound or DeliveryNotFound."""
    return deliveries.get(actor, get(actor, webhook_id).id, delivery_id)


def replay(actor: Actor, webhook_id: str, delivery_id: str) -> Delivery:
    """Send one once more, under the same id; raises WebhookNotFound, DeliveryNotFound or WebhookDisabled."""
    webhook = _enabled(actor, webhook_id)
    deliveries.get(actor, webhook.id, delivery_id)
    with audit.intended(actor, "webhook.replayed", target=webhook_id, changes={"delivery_id": delivery_id}):
        return deliveries.replay(actor, webhook.id, delivery_id)


def replay_failed(actor: Actor, webhook_id: str, query: Mapping[str, Any]) -> tuple[int, bool]:
    """Send the oldest failed deliveries once more: how many, and whether more are left.

    Raises WebhookNotFound, WebhookDisabled or InvalidDateRange.
    """
    webhook = _enabled(actor, webhook_id)
    with audit.intended(actor, "webhook.replayed", target=webhook_id, changes=query):
        return deliveries.replay_failed(actor, webhook.id, query)


def _enabled(actor: Actor, webhook_id: str) -> Webhook:
    webhook = get(actor, webhook_id)
    if not webhook.enabled:
        raise WebhookDisabled(webhook_id=webhook_id)
    return webhook


def _ours(actor: Actor, webhook_id: str) -> Any:
    """A malformed id is as unknown as a stranger's."""
    wanted = ids.parse(webhook_id)
    return Webhook.objects.visible_to(actor).filter(id__in=[wanted] if wanted else [])

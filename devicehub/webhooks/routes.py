"""Webhooks: the doors, for admins of the active organization."""

from typing import Any

from flask.views import MethodView

from devicehub.core.errors import Busy, InvalidDateRange
from devicehub.web import pagination
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor
from devicehub.web.pagination import take_page
from devicehub.web.responses import json_response
from devicehub.web.schemas import PageQuerySchema
from devicehub.webhooks import schemas
from devicehub.webhooks import service as webhooks
from devicehub.webhooks.errors import DeliveryNotFound, TooManyWebhooks, WebhookDisabled, WebhookNotFound

blp = Blueprint(
    "webhooks", __name__, url_prefix="/api/webhooks", description="Where an organization is told of what happens."
)


@blp.route("")
class Webhooks(MethodView):
    @blp.guard("admin")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, schemas.WebhookListSchema)
    def get(self, query: dict[str, Any]) -> Any:
        """List the organization's webhooks"""
        page = take_page(query)
        found, total = webhooks.find(current_actor(), page)
        items = schemas.WebhookSchema(many=True).dump(found)
        return json_response({"items": items, "pagination": page.describe(total)})

    @blp.guard("admin")
    @blp.arguments(schemas.NewWebhookSchema)
    @blp.response(201, schemas.MadeWebhookSchema)
    @blp.raises(TooManyWebhooks, Busy)
    def post(self, fields: dict[str, Any]) -> Any:
        """Make a webhook

        `secret` is told this once. Every delivery is signed with it, as Standard Webhooks has it.
        """
        made, secret = webhooks.create(current_actor(), **fields)
        return json_response(schemas.WebhookSchema().dump(made) | {"secret": secret}, 201)


@blp.route("/<id:webhook_id>")
class WebhookById(MethodView):
    @blp.guard("admin")
    @blp.response(200, schemas.WebhookSchema)
    @blp.raises(WebhookNotFound)
    def get(self, webhook_id: str) -> Any:
        """Read a webhook"""
        return webhooks.get(current_actor(), webhook_id)

    @blp.guard("admin")
    @blp.arguments(schemas.WebhookPatchSchema, required=False)
    @blp.response(200, schemas.WebhookSchema)
    @blp.raises(WebhookNotFound, Busy)
    def patch(self, changes: dict[str, Any], webhook_id: str) -> Any:
        """Change a webhook

        `enabled: true` lets one that failed for too long start afresh.
        """
        return webhooks.update(current_actor(), webhook_id, changes)

    @blp.guard("admin")
    @blp.response(204)
    @blp.raises(WebhookNotFound, Busy)
    def delete(self, webhook_id: str) -> None:
        """Delete a webhook and what it was told"""
        webhooks.delete(current_actor(), webhook_id)


@blp.route("/<id:webhook_id>/secret")
class WebhookSecret(MethodView):
    @blp.guard("admin")
    @blp.response(200, schemas.SecretSchema)
    @blp.raises(WebhookNotFound, Busy)
    def post(self, webhook_id: str) -> dict[str, Any]:
        """Give a webhook another secret

        Told this once. For 24 hours deliveries carry two signatures, the other with the secret before.
        """
        secret, until = webhooks.rotate(current_actor(), webhook_id)
        return {"secret": secret, "former_until": until}


@blp.route("/<id:webhook_id>/test")
class WebhookTest(MethodView):
    @blp.guard("admin", limit="webhook")
    @blp.response(202, schemas.WholeDeliverySchema)
    @blp.raises(WebhookNotFound, WebhookDisabled)
    def post(self, webhook_id: str) -> Any:
        """Send a webhook a `ping`

        It is signed, tried again and listed as any other delivery.
        """
        return webhooks.ping(current_actor(), webhook_id)


@blp.route("/<id:webhook_id>/replay")
class FailedDeliveries(MethodView):
    @blp.guard("admin", limit="webhook")
    @blp.arguments(schemas.ReplaySchema, required=False)
    @blp.response(202, schemas.ReplayedSchema)
    @blp.raises(WebhookNotFound, WebhookDisabled, InvalidDateRange, Busy)
    def post(self, query: dict[str, Any], webhook_id: str) -> dict[str, Any]:
        """Send failed deliveries once more

        All of a span of time, the oldest first, and at most `limit` a call; ask again while `hasMore`.
        """
        replayed, has_more = webhooks.replay_failed(current_actor(), webhook_id, query)
        return {"replayed": replayed, "has_more": has_more}


@blp.route("/<id:webhook_id>/deliveries")
class Deliveries(MethodView):
    @blp.guard("admin")
    @blp.arguments(schemas.DeliveryQuerySchema, location="query")
    @blp.response(200, schemas.DeliveryCursorListSchema)
    @blp.raises(WebhookNotFound)
    def get(self, query: dict[str, Any], webhook_id: str) -> dict[str, Any]:
        """List the deliveries of a webhook

        Of 30 days, newest first, with what came of each attempt.
        """
        of = ("deliveries", webhook_id.lower())
        after = pagination.take_cursor(query, *of)
        return pagination.cursor_list(webhooks.find_deliveries(current_actor(), webhook_id, query, after), *of)


@blp.route("/<id:webhook_id>/deliveries/<id:delivery_id>")
class DeliveryById(MethodView):
    @blp.guard("admin")
    @blp.response(200, schemas.WholeDeliverySchema)
    @blp.raises(WebhookNotFound, DeliveryNotFound)
    def get(self, webhook_id: str, delivery_id: str) -> Any:
        """Read a delivery, with what is sent"""
        return webhooks.get_delivery(current_actor(), webhook_id, delivery_id)


@blp.route("/<id:webhook_id>/deliveries/<id:delivery_id>/replay")
class DeliveryReplay(MethodView):
    @blp.guard("admin", limit="webhook")
    @blp.response(202, schemas.WholeDeliverySchema)
    @blp.raises(WebhookNotFound, DeliveryNotFound, WebhookDisabled, Busy)
    def post(self, webhook_id: str, delivery_id: str) -> Any:
        """Send a delivery once more

        Under the same `webhook-id`, whatever became of it, so that a receiver who had it can tell.
        """
        return webhooks.replay(current_actor(), webhook_id, delivery_id)

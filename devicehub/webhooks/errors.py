"""What can be wrong with a webhook, and with a delivery of one."""

from devicehub.core.errors import Conflict, NotFound


class WebhookNotFound(NotFound):
    code = "WEBHOOK_NOT_FOUND"
    title = "Webhook not found"
    detail = "No webhook {webhook_id} in this organization."


class DeliveryNotFound(NotFound):
    code = "DELIVERY_NOT_FOUND"
    title = "Delivery not found"
    detail = "No delivery {delivery_id} of this webhook."


class TooManyWebhooks(Conflict):
    code = "TOO_MANY_WEBHOOKS"
    title = "Too many webhooks"
    detail = "An organization has {most} webhooks at most; delete one first."


class WebhookDisabled(Conflict):
    code = "WEBHOOK_DISABLED"
    title = "Webhook disabled"
    detail = "The webhook {webhook_id} is disabled; enable it first."

"""Webhooks: what is forgotten in the background."""

from devicehub.jobs.registry import Context, job
from devicehub.organizations import deletions
from devicehub.webhooks import purges


@job("webhooks.purge")
def purge(context: Context) -> None:
    """Delete what a deleted webhook was told."""
    for _ in purges.deliveries_of(context.arguments["webhook_id"]):
        context.check()


@job("webhooks.purge_organization")
def purge_organization(context: Context) -> None:
    """Delete the webhooks of a deleted organization and what they were told, and note both on its receipt."""
    organization_id, receipt_id = context.arguments["organization_id"], context.arguments["receipt_id"]
    if number := purges.of_organization(organization_id):
        deletions.count(receipt_id, "webhooks", number)
    for number in purges.deliveries_of_organization(organization_id):
        context.check()
        if number:
            deletions.count(receipt_id, "webhookDeliveries", number)
    deletions.finish(receipt_id, "webhooks")

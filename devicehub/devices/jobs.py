"""Devices: what is done in the background."""

from devicehub.devices import purges
from devicehub.jobs.registry import Context, job
from devicehub.organizations import deletions


@job("devices.purge_organization")
def purge_organization(context: Context) -> None:
    """Delete the devices of a deleted organization, and note on its receipt how many they were."""
    organization_id, receipt_id = context.arguments["organization_id"], context.arguments["receipt_id"]
    deleted = 0
    for number in purges.of_organization(organization_id):
        deletions.count(receipt_id, "devices", number)
        deleted += number
        context.progress("Deleting devices", deleted)
    deletions.finish(receipt_id, "devices")

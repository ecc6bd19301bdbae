"""Devices: what is done in the background."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from devicehub.audit import service as audit
from devicehub.core.actor import SYSTEM
from devicehub.devices import keys, purges
from devicehub.jobs.registry import Context, job
from devicehub.organizations import deletions

# What belongs to an organization, by the name a receipt counts it under; history last, for beats add to it.
_OF_ORGANIZATION: Mapping[str, Callable[[str], Iterator[int]]] = {
    "deviceKeys": purges.keys_of_organization,
    "devices": purges.of_organization,
    "presenceChanges": purges.history_of_organization,
}


@job("devices.purge")
def purge(context: Context) -> Mapping[str, Any]:
    """Remove what a deleted device leaves behind, and say in the audit trail how much that was."""
    device_id, organization_id = context.arguments["device_id"], context.arguments["organization_id"]
    actor = context.actor or replace(SYSTEM, organization_id=organization_id)  # who deleted it may have left
    # Not called keys: the audit trail masks what is called so.
    removed = {"credentials": keys.purge(actor, device_id), "presenceChanges": 0}
    for number in purges.history_of_device(organization_id, device_id):
        removed["presenceChanges"] += number
        context.check()
    audit.record(actor, "device.purged", target=device_id, changes=removed)
    return removed


@job("devices.purge_organization")
def purge_organization(context: Context) -> None:
    """Delete the devices of a deleted organization, their keys and history, and note on its receipt how many."""
    organization_id, receipt_id = context.arguments["organization_id"], context.arguments["receipt_id"]
    deleted = 0
    for things, batches in _OF_ORGANIZATION.items():
        for number in batches(organization_id):
            if number:
                deletions.count(receipt_id, things, number)
                deleted += number
                context.progress("Deleting devices", deleted)
    deletions.finish(receipt_id, "devices")

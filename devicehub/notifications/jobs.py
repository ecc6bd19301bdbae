"""Notifications: what is forgotten in the background."""

from collections.abc import Mapping
from typing import Any

from devicehub.jobs.registry import Context, job
from devicehub.notifications import purges
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations


@job("notifications.purge_organization")
def purge_organization(context: Context) -> None:
    """Delete what people were told of a deleted organization, and note on its receipt how much that was."""
    organization_id, receipt_id = context.arguments["organization_id"], context.arguments["receipt_id"]
    purges.rules_of_organization(organization_id)
    for number in purges.of_organization(organization_id):
        context.check()
        if number:
            deletions.count(receipt_id, "notifications", number)
    deletions.finish(receipt_id, "notifications")


@job("notifications.forget_member")
def forget_member(context: Context) -> Mapping[str, Any]:
    """Take away what somebody was told of an organization they belong to no more.

    Unless they are back, or it was deleted, which is counted elsewhere.
    """
    user_id, organization_id = context.arguments["user_id"], context.arguments["organization_id"]
    if organization_id in organizations.memberships(user_id) or not organizations.is_there(organization_id):
        return {"removed": 0}
    return {"removed": purges.of_member(user_id, organization_id)}


@job("notifications.forget_device")
def forget_device(context: Context) -> None:
    """Delete the rule that a deleted device had of its own."""
    purges.rule_of_device(context.arguments["device_id"])

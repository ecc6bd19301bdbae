"""Reports: what of their schedules is done in the background."""

from collections.abc import Mapping
from typing import Any

from devicehub.jobs.registry import Context, job
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations
from devicehub.reports import due, purges


@job("reports.purge_organization")
def purge_organization(context: Context) -> None:
    """Delete the schedules of a deleted organization, and note on its receipt how many there were."""
    receipt_id = context.arguments["receipt_id"]
    if number := purges.of_organization(context.arguments["organization_id"]):
        deletions.count(receipt_id, "reportSchedules", number)
    deletions.finish(receipt_id, "reports")


@job("reports.forget_member")
def forget_member(context: Context) -> Mapping[str, Any]:
    """Delete the schedules that somebody had in an organization they belong to no more; unless they are back."""
    user_id, organization_id = context.arguments["user_id"], context.arguments["organization_id"]
    if organization_id in organizations.memberships(user_id) or not organizations.is_there(organization_id):
        return {"removed": 0}
    return {"removed": purges.of_member(user_id, organization_id)}


@job("reports.keep_zone")
def keep_zone(context: Context) -> Mapping[str, Any]:
    """Find anew when the schedules of an organization are due, if it took another zone."""
    organization_id = context.arguments["organization_id"]
    if "timezone" not in context.arguments["changes"] or not organizations.is_there(organization_id):
        return {"moved": 0}
    return {"moved": due.keep_zone(organization_id)}

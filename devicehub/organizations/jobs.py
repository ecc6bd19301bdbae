"""Organizations: what goes on after one has been deleted."""

from devicehub.jobs.registry import Context, job
from devicehub.organizations import deletions


@job("organizations.purge")
def purge(context: Context) -> None:
    """Delete what is left of a deleted organization itself."""
    deletions.purge(context.arguments["organization_id"], context.arguments["receipt_id"])


@job("organizations.look_after_deletion")
def look_after_deletion(context: Context) -> None:
    """See that a deletion that was begun goes on, whoever died meanwhile."""
    deletions.look_after(context.arguments["receipt_id"])

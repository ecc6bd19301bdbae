"""Forgetting the schedules of an organization that is no more, or no more somebody's."""

from bson import ObjectId

from devicehub.reports.models import Schedule


def of_organization(organization_id: str) -> int:
    """Delete all schedules of an organization; returns how many there were."""
    return int(Schedule.objects(organization_id=ObjectId(organization_id)).delete())


def of_member(user_id: str, organization_id: str) -> int:
    """Delete the schedules that one user has in an organization; returns how many there were."""
    owner = {"organization_id": ObjectId(organization_id), "user_id": ObjectId(user_id)}
    return int(Schedule.objects(**owner).delete())

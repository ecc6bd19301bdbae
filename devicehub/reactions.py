"""What follows from what: events and times on the left, jobs (`<feature>/jobs.py`) on the right."""

from collections.abc import Mapping

# After an event, these jobs; each is given the event's facts as its arguments and acts for who caused it.
ON: Mapping[str, tuple[str, ...]] = {
    "device.deleted": ("devices.purge", "logs.purge", "notifications.forget_device"),
    "member.removed": (
        "auth.end_api_keys",
        "notifications.forget_member",
        "reports.forget_member",
        "exports.forget_member",
    ),
    "organization.updated": ("logs.keep_zone", "reports.keep_zone"),
    "organization.deleted": (
        "organizations.purge",
        "auth.purge_organization",
        "devices.purge_organization",
        "logs.purge_organization",
        "notifications.purge_organization",
        "webhooks.purge_organization",
        "reports.purge_organization",
        "exports.purge_organization",
    ),
    "webhook.deleted": ("webhooks.purge",),
    "job.ended": ("exports.tell",),
}

# At these times (minute, hour, day, month, weekday; UTC), these jobs. Times missed while all was down are made up
# for by one run.
EVERY: Mapping[str, str] = {"logs.tidy": "20 3 * * *", "exports.expire": "*/15 * * * *"}

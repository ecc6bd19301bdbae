"""What follows from what happened: event, and the jobs that it asks for. Data, to be read aloud."""

from collections.abc import Mapping

ON: Mapping[str, tuple[str, ...]] = {
    "organization.deleted": ("organizations.purge", "devices.purge_organization"),
}

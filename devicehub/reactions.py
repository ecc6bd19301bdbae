"""What follows an event: its name, and the jobs that are asked for. Data, to be read aloud."""

ON: dict[str, tuple[str, ...]] = {
    "device.deleted": ("devices.purge",),
    "member.removed": ("auth.end_api_keys",),
}

"""What realtime refuses."""

from devicehub.core.errors import DeviceHubError


class TooManyConnections(DeviceHubError):
    status = 429
    code = "RATE_LIMIT_EXCEEDED"
    title = "Rate limit exceeded"
    detail = "A user may have {limit} {kind} open at a time; close one, or come back later."

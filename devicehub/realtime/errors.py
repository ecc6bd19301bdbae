"""What realtime refuses."""

from devicehub.core.errors import DeviceHubError, Unauthenticated


class TooManyConnections(DeviceHubError):
    status = 429
    code = "RATE_LIMIT_EXCEEDED"
    title = "Rate limit exceeded"
    detail = "A user may have {limit} {kind} open at a time; close one, or come back later."


class NoTokenInHandshake(Unauthenticated):
    detail = "Send an access token in the handshake: `auth: {{token}}`."

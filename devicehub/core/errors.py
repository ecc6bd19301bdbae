"""The family of errors that have a name.

    DeviceHubError
    ├── InvalidInput            422   what was asked for does not make sense
    ├── Unauthenticated         401   who asks is not known
    ├── Forbidden               403   who asks may not
    ├── NotFound                404   there is none the asker may know of; one subclass a noun
    ├── Conflict                409   it does not fit what is already there
    ├── PreconditionFailed      412   the asker looked at an older state
    └── Unavailable             503   a dependency is away; the same call may work later

A feature subclasses these beside its service. `web/errors.py` renders all of them, in one place.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

FieldErrors = Mapping[str, Any]


class DeviceHubError(Exception):
    """An error the client is told of; `detail` may name the keyword facts it is raised with.

    `extensions` are further members of the problem (RFC 9457, section 3.2).
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_ERROR"
    title: ClassVar[str] = "Internal error"
    detail: ClassVar[str] = "Something went wrong on our side."

    def __init__(
        self,
        *,
        errors: FieldErrors | None = None,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
        **facts: object,
    ) -> None:
        super().__init__(self.detail.format(**facts))
        self.errors = errors
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})
        self.facts = facts


class MalformedRequest(DeviceHubError):
    status = 400
    code = "MALFORMED_REQUEST"
    title = "Malformed request"
    detail = "{reason}"


class InvalidInput(DeviceHubError):
    status = 422
    code = "VALIDATION_ERROR"
    title = "Validation error"
    detail = "The request does not have the form this operation takes; `errors` says where."


class InvalidDateRange(InvalidInput):
    code = "INVALID_DATE_RANGE"
    title = "Invalid date range"
    detail = "This range cannot be told; `errors` says why."


class Unauthenticated(DeviceHubError):
    status = 401
    code = "AUTHENTICATION_REQUIRED"
    title = "Authentication required"
    detail = "Send an access token: `Authorization: Bearer <token>`."


class Forbidden(DeviceHubError):
    status = 403
    code = "FORBIDDEN"
    title = "Forbidden"
    detail = "This is not yours to do."


class InsufficientRole(Forbidden):
    code = "INSUFFICIENT_ROLE"
    title = "Insufficient role"
    detail = "This takes the role {role} or above in this organization."


class InsufficientScope(Forbidden):
    code = "INSUFFICIENT_SCOPE"
    title = "Insufficient scope"
    detail = "This key does not carry the scope {scope}."


class NotFound(DeviceHubError):
    status = 404
    code = "NOT_FOUND"
    title = "Not found"
    detail = "There is nothing at this address."


class Conflict(DeviceHubError):
    status = 409
    code = "CONFLICT"
    title = "Conflict"
    detail = "This does not fit the present state; read it again."


class PreconditionFailed(DeviceHubError):
    status = 412
    code = "PRECONDITION_FAILED"
    title = "Precondition failed"
    detail = "It has changed since the version named in If-Match; read it again."


class PayloadTooLarge(DeviceHubError):
    status = 413
    code = "PAYLOAD_TOO_LARGE"
    title = "Payload too large"
    detail = "The request body is larger than {limit} bytes."


class UriTooLong(DeviceHubError):
    """The server refuses it before the application; named by operations whose query may come to that."""

    status = 414
    code = "URI_TOO_LONG"
    title = "URI too long"
    detail = "The first line of the request is longer than 8190 bytes."


class UnsupportedMediaType(DeviceHubError):
    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    title = "Unsupported media type"
    detail = "{reason}"


class Unavailable(DeviceHubError):
    status = 503
    code = "SERVICE_UNAVAILABLE"
    title = "Service unavailable"
    detail = "A part this needs is away; try again shortly."

    def __init__(self, *, retry_after: int = 2) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class DatabaseUnavailable(Unavailable):
    code = "DATABASE_UNAVAILABLE"
    title = "Database unavailable"
    detail = "The database does not answer; nothing was changed that you were told of. Try again shortly."


class Busy(Unavailable):
    code = "BUSY"
    title = "Busy"
    detail = "Too much of this is going on at once; try again shortly."

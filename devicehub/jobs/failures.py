"""What is kept of the error that a job failed with."""

from devicehub.core.errors import DeviceHubError
from devicehub.jobs.errors import TimedOut


def redacted(error: BaseException) -> dict[str, str]:
    """Its type and our code for it. Its message and stack are in the log only."""
    code = error.code if isinstance(error, DeviceHubError | TimedOut) else "INTERNAL_ERROR"
    return {"type": type(error).__name__, "code": code}

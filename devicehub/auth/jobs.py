"""What signing in leaves to the worker."""

from devicehub.auth import resets
from devicehub.jobs.registry import Context, job


@job(resets.JOB, timeout_s=30)
def send_otp(context: Context) -> None:
    """Mail a code to who has lost their password, if there is anybody of that address."""
    resets.send_code(context.arguments["challengeId"], attempt=context.attempt)

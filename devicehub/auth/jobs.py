"""Accounts: what is done in the background."""

from collections.abc import Mapping
from typing import Any

from devicehub.auth import api_keys
from devicehub.jobs.registry import Context, job


@job("auth.end_api_keys")
def end_api_keys(context: Context) -> Mapping[str, Any]:
    """End for good the keys of somebody who left: they were refused from that moment, and stay so on a return."""
    arguments = context.arguments
    ended = api_keys.end_all(user_id=arguments["user_id"], organization_id=arguments["organization_id"])
    return {"ended": ended}

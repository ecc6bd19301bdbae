"""Accounts: what is done in the background."""

from collections.abc import Mapping
from typing import Any

from devicehub.auth import api_keys, resets
from devicehub.jobs.registry import Context, job
from devicehub.organizations import deletions


@job(resets.JOB, timeout_s=30)
def send_otp(context: Context) -> None:
    """Mail a code to who has lost their password, if there is anybody of that address."""
    resets.send_code(context.arguments["challengeId"], attempt=context.attempt)


@job("auth.end_api_keys")
def end_api_keys(context: Context) -> Mapping[str, Any]:
    """End for good the keys of somebody who left: they were refused from that moment, and stay so on a return."""
    arguments = context.arguments
    ended = api_keys.end_all(user_id=arguments["user_id"], organization_id=arguments["organization_id"])
    return {"ended": ended}


@job("auth.purge_organization")
def purge_organization(context: Context) -> None:
    """Delete the API keys of a deleted organization, and note on its receipt how many they were."""
    organization_id, receipt_id = context.arguments["organization_id"], context.arguments["receipt_id"]
    if removed := api_keys.purge(organization_id):
        deletions.count(receipt_id, "apiKeys", removed)
    deletions.finish(receipt_id, "auth")

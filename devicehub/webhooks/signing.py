"""Secrets and signatures, as Standard Webhooks has them (https://www.standardwebhooks.com, version 1.0).

A secret is derived from the server's own (JWT_REFRESH_SECRET) and a random salt, as refresh tokens are: the
database alone signs nothing. When the server's secret is changed, each webhook's has to be asked for anew.
"""

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any

from devicehub.auth import proofs
from devicehub.core import clock

PREFIX = "whsec_"
OVERLAP = timedelta(hours=24)


def secret(webhook_id: object, salt: str) -> str:
    """The secret as its owner is told it, once: what follows the prefix is the key in base64."""
    return PREFIX + base64.b64encode(_key(webhook_id, salt)).decode()


def headers(webhook: dict[str, Any], event_id: str, body: str) -> dict[str, str]:
    """What a delivery says of itself, and proves; with two signatures while the former secret is still good."""
    moment, salts = clock.now(), [webhook["salt"]]
    if webhook.get("former_until") is not None and webhook["former_until"] > moment:
        salts.append(webhook["former_salt"])
    timestamp = str(int(moment.timestamp()))
    signed = f"{event_id}.{timestamp}.{body}".encode()
    signatures = [signature(_key(webhook["_id"], salt), signed) for salt in salts]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def _key(webhook_id: object, salt: str) -> bytes:
    mac = proofs.of("webhook", webhook_id, salt)
    return base64.urlsafe_b64decode(mac + "=" * (-len(mac) % 4))


def signature(key: bytes, signed: bytes) -> str:
    """One proof that whoever signed has the key, under the version of the scheme."""
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()

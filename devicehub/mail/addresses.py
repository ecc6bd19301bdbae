"""Mail addresses: which we write to, and how one is shown to others than its owner."""

import re

# One mailbox and nothing else: what could end a header, or begin a second recipient, is in no address of ours.
_MAILBOX = re.compile(r"[^\s\x00-\x1f\x7f()<>,;:\\\"\[\]@]+@[^\s\x00-\x1f\x7f()<>,;:\\\"\[\]@]+")


def is_mailbox(address: str) -> bool:
    """Whether a mail may be addressed so."""
    return bool(_MAILBOX.fullmatch(address)) and len(address) <= 254


def masked(address: str) -> str:
    """`ada@example.com` as `a***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}"


def mask_all(text: str) -> str:
    """`text` with every address in it masked."""
    return _MAILBOX.sub(lambda found: masked(found[0]), text)

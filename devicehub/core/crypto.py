"""Secrets and proofs: random tokens, keyed hashes, constant-time comparison."""

import base64
import hashlib
import hmac
import secrets


def random_token(size: int = 32) -> str:
    """`size` random bytes as URL-safe text without padding."""
    return secrets.token_urlsafe(size)


def mac(key: str, *parts: object) -> str:
    """HMAC-SHA256 over `parts`, each led by its length so that no two lists read the same; URL-safe base64."""
    message = "".join(f"{len(text)}:{text}" for text in map(str, parts))
    digest = hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sha256(secret: str) -> str:
    """What is kept of a secret that is long and random: nothing that would open a door. In hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def digest(content: bytes | str, size: int = 16) -> str:
    """A short, unkeyed fingerprint in hex (BLAKE2b), for ETags and cache keys; never for secrets."""
    raw = content.encode() if isinstance(content, str) else content
    return hashlib.blake2b(raw, digest_size=size).hexdigest()

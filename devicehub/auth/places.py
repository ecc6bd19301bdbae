"""Where somebody signs in from."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from devicehub.core import crypto


def network(ip: str | None) -> str:
    """What counts as one place: an IPv4 address, or the /64 an IPv6 address lies in, which is one household's."""
    try:
        address = ip_address(ip or "")
    except ValueError:
        return "nowhere"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), 64), strict=False))


def fingerprint(ip: str | None, user_agent: str | None) -> str:
    """A short name of a network and a browser together."""
    return crypto.digest(f"{network(ip)}|{user_agent or ''}", size=8)

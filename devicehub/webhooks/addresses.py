"""Which addresses may be sent to: by default none that only we, or our machine, can reach.

An admin of an organization chooses where we connect to. Without this they could have us ask what listens beside
us: databases, consoles, the cloud's own metadata.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from devicehub.core import config
from devicehub.core.errors import InvalidInput

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_TEREDO = IPv6Network("2001::/32")
# Azure answers its virtual machines at an address that looks like anybody's.
_CLOUDS_OWN = {IPv4Address("168.63.129.16")}


class AddressRefused(Exception):
    """A name leads to an address that may not be sent to."""


class NameUnknown(Exception):
    """A name leads nowhere."""


def judge(url: str) -> None:
    """Raise InvalidInput for a URL that would never be sent to; where a name leads is asked when it is sent."""
    settings, parts = config.current(), urlsplit(url)
    if settings.webhook_allow_private:
        return
    if parts.scheme != "https" and not settings.is_development:
        raise InvalidInput(errors={"url": ["It has to begin with https://."]})
    host = (parts.hostname or "").rstrip(".")
    number = _number(host)
    if host == "localhost" or host.endswith(".localhost") or (number is not None and not is_public(number)):
        raise InvalidInput(errors={"url": ["Not an address that everybody can reach."]})


def resolve(host: str, port: int) -> list[str]:
    """Where to connect to for a host, asked once; raises NameUnknown, or AddressRefused for any of it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # one that is too long for the name service is no name
        raise NameUnknown() from error
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))
    if not config.current().webhook_allow_private:
        for address in addresses:
            if not is_public(ip_address(address)):
                raise AddressRefused()
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is of the Internet, and of one receiver; judged by the IPv4 address inside, if any."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address in _TEREDO or address.is_site_local:
            return False
    is_special = address.is_multicast or address.is_reserved or address.is_link_local or address in _CLOUDS_OWN
    return address.is_global and not is_special


def _number(host: str) -> Address | None:
    """The address that a host is instead of a name, also as only the C library knows it: `127.1`, `0x7f000001`."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None

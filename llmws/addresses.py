"""Which addresses a URL that somebody typed may lead to: the rule alone, without names to look up or sockets to open.

Nobody's provider lives on a link-local or a cloud's metadata address: those hand out a machine's credentials to whoever
asks from it. Loopback and private networks are where a laptop's model servers are, and where a hub's neighbours are
that its people have no business with, save those that an administrator names. An address inside another one (mapped,
NAT64, 6to4, Teredo) counts as itself: a router may take it out again. See OWASP's cheat sheet on server-side request
forgery, https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .errors import SettingsError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOWHERE = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",  # "this host": Linux takes it for loopback
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "100.100.100.200/32",  # Alibaba Cloud's metadata
        "168.63.129.16/32",  # Azure's host
        "192.0.0.0/24",  # protocol assignments; Oracle Cloud's metadata among them
        "224.0.0.0/4",  # multicast
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",  # AWS's metadata
        "fd20:ce::/32",  # Google Cloud's metadata
        "ff00::/8",
    )
)
# RFC 6052 and RFC 8215: an IPv4 address in the last 32 bits.
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_UNICAST, _DOCUMENTATION = ip_network("2000::/3"), ip_network("3fff::/20")

# The last part of a name is never a number.
_NAME = re.compile(r"(\*\.)?([\w-]+\.)*[\w-]*[a-z_-][\w-]*\.?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Where requests may go.

    Args:
        private_allowed: also to loopback and private networks, as on a laptop.
        allowed: host names (``llm.corp.example``, ``*.corp.example``) and networks (``10.1.0.0/16``) that may be
            asked though they are private. What is neither is a `SettingsError`: it would allow nothing, silently.

    Example:
        >>> hub = AddressPolicy(private_allowed=False, allowed=("10.1.0.0/16", "*.corp.example"))
        >>> hub.allows("api.example.com", "93.184.215.14"), hub.allows("api.example.com", "127.0.0.1")
        (True, False)
        >>> hub.allows("10.1.2.3", "10.1.2.3"), hub.allows("llm.corp.example", "192.168.0.7")
        (True, True)
        >>> AddressPolicy().allows("metadata.corp.example", "169.254.169.254")
        False
    """

    private_allowed: bool = True
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in self.allowed:
            if not _NAME.fullmatch(entry) and _network(entry) is None:
                raise SettingsError(
                    f"{entry!r} is neither a host name nor a network.",
                    remedy="LLMWS_PROVIDER_HOSTS takes names (*.corp.example) and networks (10.1.0.0/16), no ports.",
                )

    def allows(self, host: str, address: str) -> bool:
        """Whether `host`, which was found at `address`, may be asked; what is no address may not."""
        found = literal(address)
        if found is None:
            return False
        every = (found, *_embedded(found))
        if any(one in network for one in every for network in _NOWHERE):
            return False
        if self.private_allowed or self.names(host):
            return True
        return all(_is_public(one) or self._is_allowed(one) for one in every)

    def names(self, host: str) -> bool:
        """Whether an administrator named `host`, so that it may be anywhere but nowhere."""
        host = host.lower().rstrip(".")
        return any(
            host.endswith(name[1:]) if name.startswith("*.") else host == name
            for name in (each.lower().rstrip(".") for each in self.allowed)
        )

    def _is_allowed(self, address: Address) -> bool:
        return any(network is not None and address in network for network in map(_network, self.allowed))


@lru_cache(maxsize=4096)
def literal(host: str) -> Address | None:
    """The address that `host` is already, in any form that a socket understands; None where it is a name.

    Example:
        >>> [str(literal(host)) for host in ("127.0.0.1", "0x7f.1", "2130706433", "[::1]", "localhost")]
        ['127.0.0.1', '127.0.0.1', '127.0.0.1', '::1', 'None']
    """
    host = host.strip("[]").rstrip(".")
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a router may find in `address`."""
    if isinstance(address, IPv4Address):
        return
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    # "IPv4-compatible" (RFC 4291, 2.5.5.1), save :: and ::1; ISATAP (RFC 5214, 6.1).
    compatible = 1 < int(address) < 1 << 32
    isatap = (int(address) >> 32) & 0xFCFFFFFF == 0x00005EFE
    if compatible or isatap or any(address in network for network in _NAT64):
        yield last


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global
    # What carries another address is as public as that, which is judged by itself.
    if address.ipv4_mapped is not None or address in _NAT64[0]:
        return True
    # `is_global` of IPv6 is everything that no registry has, site-local and unassigned addresses too.
    return address.is_global and address in _UNICAST and address not in _DOCUMENTATION


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None

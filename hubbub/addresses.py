"""What counts as one address, for every limit that is kept per address. Pure."""

from __future__ import annotations

import ipaddress

V4_IN_V6 = 0xFFFF  # the upper bits of ::ffff:a.b.c.d


def address_key(host: str) -> str:
    """What counts as one address: an IPv4 address or an IPv6 /64, the least a customer has.

    Args:
        host: as the kernel gives it. What is no address counts as itself.
    """
    if ":" not in host:
        return host
    try:
        number = int(ipaddress.IPv6Address(host.partition("%")[0]))
    except ValueError:
        return host
    if number >> 32 == V4_IN_V6:
        return str(ipaddress.IPv4Address(number & 0xFFFF_FFFF))
    return f"{number >> 64:016x}"


def is_loopback(host: str) -> bool:
    """Whether an address, as the kernel gives it, is this machine's own loopback."""
    return host.startswith(("127.", "::ffff:127.")) or host == "::1"

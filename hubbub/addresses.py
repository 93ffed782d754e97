"""Addresses: how one is written, and what counts as one where limits are kept for each. Pure."""

from __future__ import annotations

import ipaddress

LONGEST_HOST = 255  # characters, RFC 1035; more of them take the codec long
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


def may_be_host(host: str) -> bool:
    """Whether the resolver can be asked for it: of others it raises what is no OSError."""
    if "\0" in host or len(host) > LONGEST_HOST:
        return False
    labels = host.removesuffix(".").split(".")
    if not all(0 < len(label) < 64 for label in labels):  # the codec's time grows with the square
        return False
    if host.isascii():  # without the codec, which every process would have to load
        return True
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def shown(host: str, port: int) -> str:
    """HOST:PORT, or [HOST]:PORT, as addresses are set (hubbub.settings.parse_address)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""Where the brokers are, and which keys their links need."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import NamedTuple

from hubbub.errors import ConfigError
from hubbub.settings import Settings, parse_address, runtime_dir


class BrokerAddress(NamedTuple):
    """The two endpoints of one broker, as ZeroMQ writes them."""

    publish: str  # the broker's XSUB: what is sent there reaches every subscriber
    subscribe: str  # the broker's XPUB

    @property
    def encrypted(self) -> bool:
        """Whether links to it use CURVE when keys are configured: those over TCP."""
        return self.publish.startswith("tcp://")


def broker_addresses(settings: Settings) -> list[BrokerAddress]:
    """The brokers that a gateway or worker connects to.

    Raises:
        ConfigError: `bus` is malformed, or leaves loopback without keys.
    """
    if settings.bus:
        addresses = [tcp_address(part, settings) for part in _parts(settings.bus)]
        if not addresses:
            raise ConfigError(f"bus names no address: {settings.bus!r}")
        return addresses
    return [local_address(settings, number + 1) for number in range(settings.brokers)]


def local_address(settings: Settings, number: int) -> BrokerAddress:
    """The unix sockets of broker `number` (from 1) of this data directory."""
    directory = runtime_dir(settings.data_dir)
    return BrokerAddress(
        f"ipc://{directory}/broker-{number}.publish",
        f"ipc://{directory}/broker-{number}.subscribe",
    )


def listen_address(settings: Settings, number: int) -> BrokerAddress | None:
    """Where broker `number` listens besides its unix sockets, if anywhere.

    Raises:
        ConfigError: `bus_listen` is malformed, too short, or leaves loopback without keys.
    """
    parts = _parts(settings.bus_listen)
    if not parts:
        return None
    if number > len(parts):
        raise ConfigError(f"bus_listen names {len(parts)} addresses, none for broker {number}")
    return tcp_address(parts[number - 1], settings)


def tcp_address(text: str, settings: Settings) -> BrokerAddress:
    """The endpoints of "tcp://HOST:PORT": PORT publishes, PORT+1 subscribes.

    Raises:
        ConfigError: it is malformed, or off loopback while no keys are configured.
    """
    scheme, _, rest = text.partition("://")
    try:
        host, port = parse_address(rest)
    except ValueError as error:
        raise ConfigError(f"bus address: {error}") from None
    if scheme != "tcp" or not 0 < port < 65535:
        raise ConfigError(f"bus address {text!r} is not tcp://HOST:PORT")
    if not settings.bus_keys and not _is_loopback(host):
        raise ConfigError(
            f"bus address {text} leaves this machine without encryption:"
            " make keys with `hubbub keys` and set HUBBUB_BUS_KEYS"
        )
    shown = f"[{host}]" if ":" in host else host
    return BrokerAddress(f"tcp://{shown}:{port}", f"tcp://{shown}:{port + 1}")


def keys_dir(settings: Settings) -> Path | None:
    """The directory of the bus keys, or None when links are not encrypted."""
    return Path(settings.bus_keys).absolute() if settings.bus_keys else None


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

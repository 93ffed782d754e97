"""The files that `hubbub keys` makes, as brokers, gateways and workers read them (CURVE, Z85)."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import zmq.auth
from zmq.utils import z85

from hubbub.errors import ConfigError

KEY_BYTES = 32
LENGTH = 40  # characters of Z85 that they take
MOST_TOLD = 100  # keys that were refused


class ClientKeys(NamedTuple):
    """What a link to a broker over TCP is encrypted with."""

    broker_public: bytes
    public: bytes
    secret: bytes


def client_keys(keys: Path) -> ClientKeys:
    """What gateways and workers need of the directory `keys`.

    Raises:
        ConfigError: a file is missing or holds no key.
    """
    return ClientKeys(_public(keys / "broker.key"), *_pair(keys / "client.key_secret"))


def broker_keys(keys: Path) -> tuple[bytes, bytes]:
    """The public and the secret key of the brokers.

    Raises:
        ConfigError: the file is missing or holds no such keys.
    """
    return _pair(keys / "broker.key_secret")


def check_clients(clients: Path) -> None:
    """Look at the public keys that brokers let in.

    Raises:
        ConfigError: there is no such directory, or a file in it holds no key. ZeroMQ would let
            nobody in then, and say so in no log of ours.
    """
    if not clients.is_dir():
        raise ConfigError(f"bus keys: {clients} is missing; `hubbub keys` makes it")
    for path in sorted(clients.glob("*.key")):
        _public(path)


class KnownClients:
    """Whom the brokers let in over TCP: whose public key is in a directory *now*.

    Args:
        directory: holds a file NAME.key for each.
        refused: is told each key (Z85) that is not there, once; of very many the first ones.
    """

    def __init__(self, directory: Path, refused: Callable[[str], None]) -> None:
        self._directory = directory
        self._refused = refused
        self._told: set[bytes] = set()

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether to let in who has this key (RFC 27/ZAP; pyzmq's credentials provider)."""
        for path in self._directory.glob("*.key"):
            with contextlib.suppress(ConfigError):  # half written: asked again in a moment
                if _public(path) == key:
                    self._told.discard(key)
                    return True
        if key not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(key)
            self._refused(key.decode("ascii"))
        return False


def _public(path: Path) -> bytes:
    return _load(path)[0]


def _pair(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    if secret is None:
        raise ConfigError(f"bus keys: {path} holds no secret key")
    return public, secret


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
        for key in (public, secret):
            # ZeroMQ tells only that some argument is invalid, or takes it for a key in binary.
            if key is not None and not _is_key(key):
                raise ValueError(f"{path} holds what is no key")
    except OSError as error:
        raise ConfigError(f"bus keys: {path}: {error.strerror or 'is missing'}") from None
    except IndexError:  # of a line without "="
        raise ConfigError(f"bus keys: {path} holds what is no key") from None
    except ValueError as error:
        raise ConfigError(f"bus keys: {error}") from None
    return public, secret


def _is_key(text: bytes) -> bool:
    try:
        return len(text) == LENGTH and len(z85.decode(text)) == KEY_BYTES
    except (KeyError, struct.error):  # a character that is none of Z85; five of them, too great
        return False

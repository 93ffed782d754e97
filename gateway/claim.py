"""Claiming a port that many gateways of one cluster share, and nobody else.

SO_REUSEPORT lets any process of the same user join a port without an error; another cluster would
silently take half of the connections. So each gateway holds a shared lock on a file named after the
address, in its own data directory: a port in use may be joined only when that lock is held.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from hubbub.addresses import shown
from hubbub.errors import ConfigError
from hubbub.settings import parse_address, runtime_dir

# The kernel's own bound per connection: it would take megabytes for one that never reads.
SEND_BUFFER = 256 * 1024
LONGEST = 512  # bytes of an address in a lock; a name of a host has at most 255 characters
BACKLOG = 4096  # the kernel takes less where net.core.somaxconn says so


class Claim:
    """A socket bound to one address, and the lock that says whose it is; both end with `close`."""

    def __init__(self, bound: socket.socket, lock: int) -> None:
        self.socket = bound
        self._lock: int | None = lock

    @property
    def address(self) -> str:
        """HOST:PORT as bound, the port a real one."""
        return shown(*self.socket.getsockname()[:2])

    def close(self) -> None:
        """Give up the port."""
        self.socket.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def claim(host: str, port: int, data: Path) -> Claim:
    """Bind `host`:`port` for this gateway, beside others of the same data directory.

    It listens at once, so that nobody else takes the port; accepting may wait. Port 0 is any free
    one; others join it by its real number.

    Raises:
        ConfigError: the port is somebody else's, or the address cannot be bound.
    """
    family, address = _resolve(host, port)
    run = runtime_dir(data)
    with _locked(run / "listen.guard"):
        bound = None
        if port == 0:
            bound = _bind(family, address, shared=True, run=run)
            port = bound.getsockname()[1]
        name = "listen-" + re.sub(r"[^0-9A-Za-z.]", "-", f"{host}-{port}") + ".lock"
        lock = os.open(run / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if bound is None:
                if not _is_held(lock):
                    # Nobody of ours is there: then nobody at all may be.
                    _bind(family, address, shared=False, run=run).close()
                bound = _bind(family, address, shared=True, run=run)
            fcntl.flock(lock, fcntl.LOCK_SH)
            with contextlib.suppress(OSError):  # a full disk: it is a hint for others, no more
                os.pwrite(lock, f"{shown(host, port)}\n".encode(), 0)
        except BaseException:
            os.close(lock)
            raise
    return Claim(bound, lock)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"listen address {host!r}: {error.strerror}") from None
    return found[0][0], found[0][4]


def _bind(
    family: socket.AddressFamily, address: tuple[object, ...], *, shared: bool, run: Path
) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Inherited by what is accepted.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        made.setblocking(False)
        made.bind(address)
        # Two sockets that allow addresses to be reused meet only when they listen.
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise _refusal(address, error, run) from None
    return made


def _refusal(address: tuple[object, ...], error: OSError, run: Path) -> ConfigError:
    where = f"{address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        told = f"{where} is in use by another program;"
        # Most often the data directory was named, and the address that goes with it forgotten.
        if ours := ",".join(_listening(run)):
            told += f" the cluster of this data directory listens on {ours}:"
            return ConfigError(f"{told} set HUBBUB_LISTEN to that, or to a free HOST:PORT")
        return ConfigError(f"{told} set HUBBUB_LISTEN to a free HOST:PORT")
    return ConfigError(f"cannot listen on {where}: {error.strerror}; set HUBBUB_LISTEN")


def _listening(run: Path) -> Iterator[str]:
    """The addresses that gateways of this data directory hold."""
    for path in sorted(run.glob("listen-*.lock")):
        with contextlib.suppress(OSError, ValueError):  # gone, or of a version that told nothing
            lock = os.open(path, os.O_RDWR)
            try:
                if _is_held(lock):
                    yield shown(*parse_address(os.pread(lock, LONGEST, 0).decode()))
            finally:
                os.close(lock)


def _is_held(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time; what is done within takes no time."""
    guard = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
    finally:
        os.close(guard)

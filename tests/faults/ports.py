"""Ports that stay ours while nobody listens there."""

from __future__ import annotations

import socket


class Ports:
    """Ports of 127.0.0.1 that stay ours while nobody listens there.

    Each is bound and does not listen: connections are refused, and meanwhile the kernel gives the
    port to nobody else, also not to one who connects to it and so would be connected to itself.
    Whoever is to listen there may: both sides allow addresses to be reused.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def take(self, count: int) -> int:
        """The first of so many in a row."""
        for _ in range(100):
            sockets: list[socket.socket] = []
            try:
                for number in range(count):
                    first = sockets[0].getsockname()[1] if sockets else 0
                    sockets.append(_reserve(first + number))
            except (OSError, OverflowError):
                for each in sockets:
                    each.close()
                continue
            self._sockets += sockets
            return int(sockets[0].getsockname()[1])
        raise AssertionError(f"no {count} free ports in a row")

    def close(self) -> None:
        """Let go of all of them."""
        for each in self._sockets:
            each.close()


def _reserve(port: int) -> socket.socket:
    """A socket bound to that port; 0: to any.

    Raises:
        OSError: it is in use.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))  # alone: what follows might share it with a stranger
        port = probe.getsockname()[1]
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", port))
    except BaseException:
        made.close()
        raise
    return made

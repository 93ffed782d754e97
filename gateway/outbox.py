"""What waits for one connection: bounded in bytes and in age, one write a turn."""

from __future__ import annotations

from typing import Protocol

FULL = -1  # `left` of an outbox that takes nothing more until it has been emptied


class Transport(Protocol):
    """What an outbox needs of asyncio's transport."""

    def write(self, data: bytes, /) -> object:
        """Queue bytes for the socket. Never blocks."""

    def get_write_buffer_size(self) -> int:
        """Bytes that the socket has not taken yet."""


class Outbox:
    """The bytes on their way to one connection.

    `parts` is what this turn has for it; `left` a lower bound of the bytes that still fit, read
    anew from the transport only when it runs out: so the fan-out's common case is a comparison.

    Args:
        transport: where `flush` writes.
        limit: bytes that may wait.
        aged_after: seconds after which waiting bytes count as a full outbox.
    """

    __slots__ = (
        "_aged_after",
        "_limit",
        "_since",
        "_taken",
        "_transport",
        "_written",
        "age",
        "aged",
        "left",
        "parts",
    )

    def __init__(self, transport: Transport, limit: int, aged_after: float) -> None:
        self._transport = transport
        self._limit = limit
        self._aged_after = aged_after
        self._written = 0  # bytes given to the transport so far
        self._taken = 0  # of these the socket had taken, at the last look
        self._since: float | None = None  # when it last took some, while others wait
        self.age = 0.0  # seconds since the buffer was last empty
        self.aged = False
        self.left = limit
        self.parts: list[bytes] = []

    def fits(self, size: int) -> bool:
        """Whether `size` bytes more are within the bound; call when `left` says no."""
        if self.aged:
            return False
        waiting = self._transport.get_write_buffer_size() + sum(map(len, self.parts))
        self.left = self._limit - waiting
        return size <= self.left

    def put(self, data: bytes) -> None:
        """Queue bytes whatever the bound: answers, bounded by not reading more requests."""
        self.left -= len(data)
        self.parts.append(data)

    @property
    def excess(self) -> int:
        """Bytes that wait beyond the bound; negative: that many still fit."""
        if self.left >= 0:
            return -self.left
        return self.waiting + sum(map(len, self.parts)) - self._limit

    def flush(self) -> None:
        """Write what this turn has, in one go."""
        parts = self.parts
        if not parts:
            return
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.parts = []
        self._written += len(data)
        self._transport.write(data)

    @property
    def waiting(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self._transport.get_write_buffer_size()

    def look(self, now: float, seconds: float) -> float | None:
        """See how the socket takes it; call every `seconds` while bytes may wait.

        Returns how long the peer has taken nothing at all, or None when nothing waits any more.
        """
        waiting = self._transport.get_write_buffer_size()
        if waiting == 0:
            self.age = 0.0
            self.aged = False
            self._since = None
            return None
        self.age += seconds
        if self.age >= self._aged_after:
            self.aged = True
            self.left = FULL
        taken = self._written - waiting
        if self._since is None or taken > self._taken:
            self._since = now
        self._taken = taken
        return now - self._since

"""The connection between a client and a gateway: bytes in order, a kernel that holds only so much.

The gateway's end is what asyncio gives the real `Connection`, byte for byte and call for call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.connection import Connection
from tests.simulation.world import Loop, World

KERNEL = 16 * 1024  # bytes that the kernels hold on the way to a client


class Socket:
    """The client's end.

    Args:
        on_data: called with what arrives.
        on_end: called once, when the other end has closed, or is no more.
    """

    def __init__(
        self, world: World, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._world = world
        self._on_data = on_data
        self._on_end = on_end
        self._there: deque[bytes | None] = deque()  # arrived and not read; None: the end
        self._is_reading = True
        self.is_closed = False
        self._is_silent = False
        self.other: Transport | None = None
        self._early: list[bytes | None] = []  # sent before the process had accepted
        self._arrives = 0.0  # the last that is under way to the gateway

    def attach(self, other: Transport) -> None:
        """The gateway's process has accepted; its kernel had done so before."""
        self.other = other
        early, self._early = self._early, []
        for data in early:
            self._send(data)

    def send(self, data: bytes) -> None:
        """Send bytes to the gateway."""
        if not self.is_closed:
            self._send(data)

    def _send(self, data: bytes | None) -> None:
        if self.other is not None:
            self._world.at(self._later(), self.other.arrive, data)
        else:
            self._early.append(data)

    def close(self, *, silently: bool = False) -> None:
        """Close; the gateway learns of it, or (its host is gone) does not."""
        if self.is_closed:
            return
        self.is_closed = True
        self._is_silent = silently
        if not silently:
            self._send(None)

    def stop_reading(self) -> None:
        """Take nothing; the kernel's buffer fills."""
        self._is_reading = False

    def go_on_reading(self) -> None:
        """Take what has arrived, and what comes."""
        self._is_reading = True
        self._read()

    def arrive(self, data: bytes | None) -> None:
        """Something of the gateway's is there; None: its end."""
        if self.is_closed:
            if not self._is_silent and data is not None and self.other is not None:
                self._world.at(self._later(), self.other.reset)
            return
        self._there.append(data)
        if self._is_reading:
            self._read()

    def _later(self) -> float:
        world = self._world
        self._arrives = max(self._arrives, world.now + 0.0002 + 0.003 * world.random.random())
        return self._arrives

    def _read(self) -> None:
        while self._there and not self.is_closed:
            data = self._there.popleft()
            if data is None:
                self.is_closed = True
                self._send(None)
                self._on_end()
                return
            if self.other is not None:
                self.other.taken(len(data))
            self._on_data(data)


class SimulatedConnection(Connection):
    """The real connection, except for the one look that it takes at a real socket."""

    __slots__ = ()

    def peer_has_left(self) -> bool:
        assert isinstance(self.transport, Transport)
        return self.transport.peer_has_left


class Transport(asyncio.Transport):
    """The gateway's end."""

    def __init__(self, loop: Loop, socket: Socket, connection: Connection) -> None:
        self._loop = loop
        self._world = loop.world
        self._socket = socket
        self._connection = connection
        self._incoming = b""
        self._is_told = False  # is about to read
        self._is_paused = False
        self._is_closing = False
        self._is_lost = False
        self._has_sent_end = False
        self._waits_to_end = False
        self._waiting = b""  # written, and not taken by the kernel
        self._in_kernel = 0
        self._high = 64 * 1024
        self._low = 16 * 1024
        self._is_choked = False
        self._arrives = 0.0
        self.peer_has_left = False  # what has arrived ends with the peer's end
        connection.connection_made(self)
        socket.attach(self)

    # --- the kernel -----------------------------------------------------------------------

    def arrive(self, data: bytes | None) -> None:
        """Bytes of the client are there, or its end."""
        if data is None:
            self.peer_has_left = True
        else:
            self._incoming += data
        self._read_soon()

    def taken(self, size: int) -> None:
        """The client has taken bytes out of the kernel."""
        self._in_kernel -= size
        if self._waiting and not self._loop.is_dead:
            self._loop.call_soon(self._write_on)

    def _read_soon(self) -> None:
        if not self._is_told and not self._is_paused and not self._is_lost:
            self._is_told = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._is_told = False
        if self._is_paused or self._is_closing:
            return
        data, self._incoming = self._incoming, b""
        if data:
            self._connection.data_received(data)
        if self.peer_has_left and not self._incoming and not self._is_closing:
            self._connection.eof_received()
            self.close()  # the real one's answer is always to close

    def _write_on(self) -> None:
        space = KERNEL - self._in_kernel
        if space <= 0 or not self._waiting or self._is_lost:
            return
        self._carry(self._waiting[:space])
        self._waiting = self._waiting[space:]
        if self._is_choked and len(self._waiting) <= self._low:
            self._is_choked = False
            self._connection.resume_writing()
        if not self._waiting:
            self._drained()

    def _drained(self) -> None:
        if self._waits_to_end:
            self._end()
        if self._is_closing:
            self._lose()

    def _carry(self, data: bytes | None) -> None:
        world = self._world
        if data is not None:
            self._in_kernel += len(data)
        delay = 0.0002 + 0.003 * world.random.random()
        self._arrives = max(self._arrives, world.now + delay)
        world.at(self._arrives, self._socket.arrive, data)

    def _end(self) -> None:
        if not self._has_sent_end:
            self._has_sent_end = True
            self._carry(None)

    def _lose(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._loop.call_soon(self._connection.connection_lost, None)
            self._end()

    def reset(self) -> None:
        """The client's kernel says that nobody reads this any more."""
        if not self._is_lost:
            self._is_lost = self._is_closing = True
            self._waiting = b""
            error = ConnectionResetError("reset by peer")
            self._loop.call_soon(self._connection.connection_lost, error)

    def vanish(self) -> None:
        """The process is no more: the kernel sends what it has, and then the end."""
        self._is_lost = self._is_closing = True
        self._waiting = b""
        self._end()

    # --- asyncio's calls ------------------------------------------------------------------

    def write(self, data: Any) -> None:
        if self._is_lost or self._has_sent_end:
            return
        if not self._waiting and self._in_kernel + len(data) <= KERNEL:
            self._carry(data)
            return
        self._waiting += data
        if len(self._waiting) > self._high and not self._is_choked:
            self._is_choked = True
            self._connection.pause_writing()
        self._write_on()

    def write_eof(self) -> None:
        self._waits_to_end = True
        if not self._waiting:
            self._end()

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if not self._waiting:
            self._lose()

    def abort(self) -> None:
        self._is_closing = True
        self._waiting = b""
        self._lose()

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = self._high if high is None else high
        self._low = self._low if low is None else low

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._incoming or self.peer_has_left:
            self._read_soon()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

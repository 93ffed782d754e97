"""A connection that is carried on to another port, as its link has it: held, late, or in parts."""

from __future__ import annotations

import asyncio
import enum
import socket
import struct
from collections import deque
from typing import Protocol, TypeAlias, cast

from tests.faults.zmtp import Stream

BUFFER = 256 * 1024  # bytes on their way, each way of a connection; then nothing more is read


class End(enum.Enum):
    """How the bytes of one way end."""

    FIN = enum.auto()  # the other way may go on
    RESET = enum.auto()


Piece: TypeAlias = bytes | End


class Carrier(Protocol):
    """What a connection needs to know of its link."""

    to: int
    pairs: dict[Pair, None]

    def holds(self, *, inward: bool) -> bool:
        """Whether nothing is carried that way now."""

    def latency(self) -> float:
        """Seconds that what comes now takes."""

    def stream(self) -> Stream | None:
        """What looks at one way of a connection frame by frame, if anything does."""

    def carried(self, size: int, *, inward: bool) -> None:
        """So many bytes have been."""


class Pair:
    """A connection to the link, and the one that carries it on."""

    def __init__(self, link: Carrier) -> None:
        self.link = link
        self.over = False
        self._sides: dict[bool, Side] = {}
        self._task: asyncio.Task[None] | None = None
        link.pairs[self] = None

    def opened(self, side: Side) -> None:
        """One of the two sockets is open."""
        if self.over:
            side.reset()
            return
        self._sides[side.inward] = side
        self.go_on()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: Side(self, inward=False), "127.0.0.1", self.link.to
            )
        except OSError:
            self.abort()

    def other(self, side: Side) -> Side | None:
        """The side that is given what this one has read, if it is open yet."""
        return self._sides.get(not side.inward)

    def go_on(self) -> None:
        """Carry what may be carried now. The server hears of a connection when anything does."""
        if self._task is None and not self.link.holds(inward=True):
            self._task = asyncio.create_task(self._connect(), name="connect")
        for side in list(self._sides.values()):
            side.carry()

    def ended(self) -> None:
        """One way has ended in order; with the other one the pair is over."""
        sides = self._sides.values()
        if len(sides) == 2 and all(side.finished for side in sides):
            self._finish()
            for side in sides:
                side.transport.close()  # what was written leaves first

    def abort(self) -> None:
        """Break both, whatever is still on its way."""
        self._finish()
        if self._task is not None:
            self._task.cancel()
        for side in self._sides.values():
            side.reset()

    def _finish(self) -> None:
        self.over = True
        self.link.pairs.pop(self, None)


class Side(asyncio.Protocol):
    """One socket of a pair: what it reads waits here until the other side may be given it.

    How a connection ends takes its turn behind the bytes, too: a silent network is as silent about
    that.
    """

    transport: asyncio.Transport

    def __init__(self, pair: Pair, *, inward: bool) -> None:
        self.inward = inward  # what it reads is on its way to the server
        self.finished = False  # all that it read has been given to the other side, its end too
        self._pair = pair
        self._stream = pair.link.stream()
        self._waiting: deque[tuple[float, Piece]] = deque()  # when it is due
        self._bytes = 0  # of what is waiting
        self._timer: asyncio.TimerHandle | None = None
        self._takes = True  # its own buffer has room
        self._gone = False
        self._reads = True

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self.transport.set_write_buffer_limits(BUFFER)
        self._pair.opened(self)

    def data_received(self, data: bytes) -> None:
        if not self._reads:
            self.transport.pause_reading()  # uvloop forgets what `connection_made` asked for
        self._put(data if self._stream is None else self._stream.feed(data))

    def eof_received(self) -> bool:
        if self._stream is not None:
            self._put(self._stream.end())
        self._put(End.FIN)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        if not self._pair.over:
            self._put(End.RESET)

    def pause_writing(self) -> None:
        self._takes = False

    def resume_writing(self) -> None:
        self._takes = True
        if (other := self._pair.other(self)) is not None:
            other.carry()

    def reset(self) -> None:
        """Break the connection (RST); what its buffers hold is gone."""
        pipe = self.transport.get_extra_info("socket")
        if not self._gone and pipe is not None:
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # --- carrying ---------------------------------------------------------------------------

    def _put(self, piece: Piece) -> None:
        if not piece:
            return
        due = asyncio.get_running_loop().time() + self._pair.link.latency()
        self._waiting.append((due, piece))  # what is due sooner than what is before it waits
        self._bytes += _size(piece)
        self.carry()

    def carry(self) -> None:
        """Give the other side what is due."""
        other, held = self._pair.other(self), self._pair.link.holds(inward=self.inward)
        now = asyncio.get_running_loop().time()
        while self._waiting and other is not None and other._takes and not held:
            due, piece = self._waiting[0]
            if due > now:
                self._wake_at(due)
                break
            self._waiting.popleft()
            self._bytes -= _size(piece)
            self._give(other, piece)
        self._read_on(held)

    def _give(self, other: Side, piece: Piece) -> None:
        if piece is End.RESET:
            self._pair.abort()
        elif other._gone or other.transport.is_closing():
            pass  # it has yet to be told so
        elif isinstance(piece, bytes):
            self._pair.link.carried(len(piece), inward=self.inward)
            other.transport.write(piece)
        else:
            other.transport.write_eof()
            self.finished = True
            self._pair.ended()

    def _wake_at(self, due: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due, self._woken)

    def _woken(self) -> None:
        self._timer = None
        if not self._pair.over:
            self.carry()

    def _read_on(self, held: bool) -> None:
        """Read, unless what was read waits: then the sender's own buffers fill, as they should."""
        reads = not held and self._bytes < BUFFER
        if reads == self._reads or self._gone or self.transport.is_closing():
            return
        self._reads = reads
        if reads:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()


def _size(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else 0

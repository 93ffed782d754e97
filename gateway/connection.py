"""One client's connection on the native door: asyncio's side of it.

There is no task and no timer per connection: the hub looks at all of them once in a while.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from gateway.native import BadRequest, NativeProtocol, WrongTime
from gateway.outbox import Outbox
from hubbub import frames
from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import MAX_FRAME, ClientFrame, Error, Frame

if TYPE_CHECKING:
    from gateway.desk import Request
    from gateway.rooms import Room
    from gateway.session import Session
    from hubbub.limits import Buckets
    from hubbub.settings import Settings

ASKED_LIMIT = 256 * 1024  # weight of unanswered requests, then nothing more is read
REQUEST_WEIGHT = 256  # each counts at least so much: 1,024 may be on their way
PAGE_WEIGHT = 64 * 1024  # answers to these are large: four may be on their way
LINGER = 2.0  # seconds for the peer to read why it is closed, and to close
NEWS_BYTES = 256 * 1024  # of news beyond the outbox's bound, then the peer is given up
_LARGE = frozenset(
    {
        frames.History,
        frames.Members,
        frames.Rooms,
        frames.Peers,
        frames.Join,
        frames.Resume,
        frames.Login,
        frames.Search,
        frames.Unread,
        frames.Restrictions,
        frames.Audit,
    }
)


class Owner(Protocol):
    """What a connection needs of the hub."""

    settings: Settings
    clock: float  # the loop's time, brought up to date every second
    log: logging.Logger
    trace: bool  # whether frames are logged

    def opened(self, connection: Connection) -> None:
        """The socket is open."""

    def request(self, connection: Connection, frame: ClientFrame, weight: int) -> None:
        """Carry out one frame; `Connection.answered(weight)` once that is done."""

    def to_flush(self, connection: Connection) -> None:
        """Its outbox has something to be written at the end of this turn."""

    def closing(self, connection: Connection) -> None:
        """It will be shown nothing more: forget it wherever it takes part."""

    def lingering(self, connection: Connection) -> None:
        """It is to be cut off at its deadline if the peer has not closed by then."""

    def closed(self, connection: Connection) -> None:
        """The socket is closed."""


class Connection(asyncio.Protocol):
    """Reads frames while it may, writes what the outbox has, and ends in one place."""

    __slots__ = (
        "_hub",
        "_paused",
        "_unread",
        "address",
        "agent",
        "asked",
        "buckets",
        "changes",
        "choked",
        "core",
        "deadline",
        "heard",
        "is_closing",
        "number",
        "on_closed",
        "outbox",
        "parted",
        "reassured",
        "rooms",
        "session",
        "shut_until",
        "spoke",
        "tail",
        "transport",
        "why",
    )

    def __init__(self, hub: Owner, number: int, address: str, deadline: float) -> None:
        self._hub = hub
        self.number = number
        self.address = address
        self.deadline = deadline  # to be welcomed; once closing, to be closed
        self.agent = ""
        self.core = NativeProtocol()
        self.session: Session | None = None
        self.rooms: dict[int, Room] = {}
        self.changes: list[Request] = []  # joins and leaves on their way, in order
        self.buckets: Buckets | None = None  # its limits, once it has asked for something limited
        self.shut_until = 0.0  # no change is passed on: one before it could not be stored
        self.asked = 0  # weight of requests without an answer
        self.heard = hub.clock
        self.spoke = hub.clock
        self.parted = False  # the owner knows that this connection is done with its session
        self.reassured = False  # has been sent a beat while it waits to be welcomed
        self.is_closing = False  # takes part in nothing any more
        self.tail = b""  # what follows the answer that is being put into the outbox
        self.why = "peer gone"
        self.on_closed: Callable[[str], None] | None = None
        self.choked = False  # the transport holds more than `unread_answers`
        self._unread = 0  # bytes of answers since it is choked
        self._paused = False

    # --- asyncio's calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        settings = self._hub.settings
        self.outbox = Outbox(self.transport, settings.outbox_bytes, settings.outbox_age)
        unread = settings.unread_answers
        self.transport.set_write_buffer_limits(high=unread, low=unread // 2)
        self._hub.opened(self)

    def data_received(self, data: bytes) -> None:
        self.heard = self._hub.clock
        if self.is_closing:
            return
        self.core.receive_data(data)
        self.pump()

    def eof_received(self) -> bool:
        self.finish(self.why)
        return False  # the transport closes, once what waits has been taken

    def pause_writing(self) -> None:
        self.choked = True

    def resume_writing(self) -> None:
        self.choked = False
        self._unread = 0
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._take_no_part()
        self._hub.closed(self)
        if self.on_closed is not None:
            self.on_closed(self.address)

    # --- in -------------------------------------------------------------------------------

    def pump(self) -> None:
        """Carry out the frames that are there, as long as more may be asked."""
        core = self.core
        try:
            while not (self.is_closing or self._is_held()):
                frame = core.next_frame()
                if frame is None:
                    break
                if isinstance(frame, BadRequest):
                    self._refuse(frame)
                    continue
                if self._hub.trace:
                    self._trace("<", frame, core.size)
                weight = PAGE_WEIGHT if type(frame) in _LARGE else REQUEST_WEIGHT + core.size
                self.asked += weight
                self._hub.request(self, frame, weight)
        except WrongTime as error:
            self.end(error.code, error.text, error.ref)
        except RemoteProtocolError as error:
            self.end(error.code, error.text)
        if not self.is_closing:
            self._read_or_not()

    def _refuse(self, bad: BadRequest) -> None:
        if self.session is not None or bad.code is Code.BAD_NAME:
            self.answer(Error(bad.code, bad.text, bad.ref))
        else:
            # A stranger gets one try, except at a name, which a person may have mistyped.
            self.end(bad.code, bad.text, bad.ref)

    def answered(self, weight: int) -> None:
        """A request is answered: others may follow."""
        self.asked -= weight
        if self._paused or self.core.buffered:
            self.pump()

    def _is_held(self) -> bool:
        return self.asked >= ASKED_LIMIT or self._unread >= self._hub.settings.unread_answers

    def _read_or_not(self) -> None:
        """Stop reading from whoever asks faster than is answered, or does not take the answers."""
        hold = self._is_held() or self.core.buffered > MAX_FRAME
        if hold is self._paused or self.transport.is_closing():
            return
        self._paused = hold
        if hold:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def peer_has_left(self) -> bool:
        """Whether the peer's end of the stream, or a reset, waits behind what was read."""
        number = self.transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as same:
            same.setblocking(False)
            try:
                return not same.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return False
            except OSError:
                return True

    # --- out ------------------------------------------------------------------------------

    def answer(self, frame: Frame) -> None:
        """Put an answer into the outbox; unread ones stop the reading."""
        data = frames.encoder.encode(frame)
        if self._hub.trace:
            self._trace(">", frame, len(data))
        if self.choked:
            self._unread += len(data)
        self.put(data)

    def _trace(self, way: str, frame: Frame, size: int) -> None:
        """Type, ref and size, never what people say."""
        name, ref = type(frame).__name__.lower(), getattr(frame, "ref", None)
        self._hub.log.debug(
            "what=frame conn=%d %s %s ref=%s size=%d", self.number, way, name, ref, size
        )

    def put(self, data: bytes) -> None:
        """Put bytes into the outbox, to be written at the end of the turn."""
        if not self.is_closing:
            self.outbox.put(data)
            self._hub.to_flush(self)

    def push(self, data: bytes) -> None:
        """Put news that nobody asked for; who lets too much of it wait is given up."""
        if not self.is_closing and self.outbox.excess > NEWS_BYTES:
            self.end(Code.TIMEOUT, "what was sent to you was not read")
        self.put(data)

    def end(self, code: Code, text: str, ref: int | None = None) -> None:
        """Tell the peer why, and close once it has read that or `LINGER` is over."""
        self.put(frames.encoder.encode(Error(code, text, ref)))
        self.finish(f"{code}: {text}")

    def finish(self, why: str) -> None:
        """Close after what is in the outbox has been taken."""
        if self.is_closing:
            return
        self.why = why
        self._take_no_part()
        self.deadline = self._hub.clock + LINGER
        self._hub.lingering(self)
        if self.transport.is_closing():
            return
        self.outbox.flush()
        self.transport.write_eof()
        if self._paused:
            # What the peer still sends is read and dropped: closing a socket with unread bytes
            # resets it, and the peer would never see the reason.
            self._paused = False
            self.transport.resume_reading()

    def _take_no_part(self) -> None:
        if not self.is_closing:
            self.is_closing = True
            self.core.close()
            self._hub.closing(self)

"""As much of ZMTP 3 as it takes to leave single messages out of a stream. Pure.

A greeting of 64 bytes, which names the security mechanism, then frames: one byte of flags (MORE,
LONG, COMMAND), a length of one byte or eight, the body. Sources: RFC 23/ZMTP 3.0
(https://rfc.zeromq.org/spec/23/) and RFC 37/ZMTP 3.1 (https://rfc.zeromq.org/spec/37/).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hubbub.wire import MAX_BUS_BYTES

GREETING = 64  # bytes
MORE, LONG, COMMAND = 1, 2, 4
LARGEST = MAX_BUS_BYTES  # bytes of a body; a peer ends the connection at a larger one

Loses: TypeAlias = Callable[[bytes], bool]  # told the body of a message's first frame


class Stream:
    """One direction of a connection: bytes in, bytes to carry on out, a whole frame at a time.

    Greeting and commands (the handshake, heartbeats, from 3.1 on subscriptions) are carried as
    they are, and so is all of a stream that is no ZMTP 3 or has another mechanism than NULL.

    Args:
        loses: says of each message, once, whether it is left out; of one in several frames all
            are.
    """

    def __init__(self, loses: Loses) -> None:
        self._loses = loses
        self._greeting = bytearray()
        self._waiting = bytearray()  # the beginning of a frame whose end has not come
        self._plain = False  # nothing here that could be left out
        self._within = False  # the last frame of a message has not come yet
        self._losing = False  # the message that we are in, or were in last, is left out

    def feed(self, data: bytes) -> bytes:
        """Take some bytes; what of all that came so far is to be carried on now."""
        if self._plain:
            return data
        greeting = b""
        if (missing := GREETING - len(self._greeting)) > 0:
            # In pieces: each side waits for the other's version before it sends the rest.
            greeting, data = data[:missing], data[missing:]
            self._greeting += greeting
            if len(self._greeting) < GREETING:
                return greeting
            self._plain = not _can_be_cut(self._greeting)
        self._waiting += data
        return greeting + self._whole_frames()

    def end(self) -> bytes:
        """Nothing more comes: the beginning of a frame that is left, which nobody can use."""
        rest = bytes(self._waiting)
        self._waiting.clear()
        return rest

    def _whole_frames(self) -> bytes:
        """Take what is whole out of `_waiting`, without what is lost."""
        waiting = self._waiting
        out = bytearray()
        begin = at = 0
        while not self._plain and (frame := self._frame(at)) is not None:
            body, end = frame
            if self._is_lost(waiting[at], body, end):
                out += waiting[begin:at]
                begin = end
            at = end
        if self._plain:
            at = len(waiting)
        out += waiting[begin:at]
        del waiting[:at]
        return bytes(out)

    def _frame(self, at: int) -> tuple[int, int] | None:
        """Where the body of the frame at `at` begins and ends; None: it is not all there."""
        waiting = self._waiting
        if len(waiting) < at + 2:
            return None
        flags, body = waiting[at], at + 2
        size = waiting[at + 1]
        if flags & LONG:
            body = at + 9
            if len(waiting) < body:
                return None
            size = int.from_bytes(waiting[at + 1 : body], "big")
        if flags & ~(MORE | LONG | COMMAND) or size > LARGEST:
            self._plain = True
            return None
        return (body, body + size) if len(waiting) >= body + size else None

    def _is_lost(self, flags: int, body: int, end: int) -> bool:
        if flags & COMMAND:
            return False
        if not self._within:
            self._losing = self._loses(bytes(self._waiting[body:end]))
        self._within = bool(flags & MORE)
        return self._losing


def _can_be_cut(greeting: bytearray) -> bool:
    """Whether frames of messages follow, which anybody may read: version 3, mechanism NULL."""
    signature = greeting[0] == 0xFF and greeting[9] == 0x7F
    return signature and greeting[10] >= 3 and greeting[12:32] == b"NULL".ljust(20, b"\0")

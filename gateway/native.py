"""The native door's side of a connection: bytes in, frames out. Pure; see docs/protocol.md."""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgpack
import msgspec

from hubbub import frames
from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import MAX_DEPTH, MAX_FRAME, ClientFrame, Frame

MAX_BAD_IN_A_ROW = 64  # frames of no use, one after the other: this peer speaks something else
MAX_REASON = 200  # characters of what the decoder says; it may quote the peer


class State(enum.Enum):
    """Where a connection stands."""

    NEW = "new"  # has no session
    WAITING = "waiting"  # has asked for one; what follows is kept for afterwards
    READY = "ready"  # has a session
    CLOSING = "closing"  # nothing more is read


_FIRST: frozenset[type[Frame]] = frozenset({frames.Hello, frames.Resume})
_LATER: frozenset[type[Frame]] = frozenset(
    {
        frames.Join,
        frames.Leave,
        frames.Say,
        frames.Nick,
        frames.History,
        frames.Members,
        frames.Rooms,
        frames.Peers,
        frames.Status,
        frames.Ping,
        frames.Bye,
    }
)
ACCEPTS: dict[State, frozenset[type[Frame]]] = {
    State.NEW: _FIRST,
    State.WAITING: frozenset(),  # next_frame() gives nothing until it is over
    State.READY: _LATER,
    State.CLOSING: frozenset(),
}


class BadRequest(NamedTuple):
    """A frame with a `ref` that cannot be one: it is answered, and the connection lives on."""

    ref: int
    code: Code
    text: str


class _OnlyRef(msgspec.Struct):
    ref: frames.Ref


_ref_decoder = msgspec.msgpack.Decoder(_OnlyRef)
# Bytes that begin a map or array; a frame with no more of these than MAX_DEPTH is not too deep.
_CONTAINERS = frozenset([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
_NOT_CONTAINERS = bytes(set(range(256)) - _CONTAINERS)
# The peer's fault, all of them: one error to the outside. (msgpack's own are ValueErrors; memory
# is bounded here, so its BufferFull cannot happen.)
_PEERS_FAULT = (msgpack.UnpackException, msgspec.MsgspecError, ValueError, RecursionError)


class NativeProtocol:
    """Cuts a stream of msgpack maps into frames and says which may come when.

    Holds at most the last chunk given to it and MAX_FRAME bytes of an unfinished frame.
    """

    __slots__ = ("_at", "_bad", "_base", "_data", "_fed", "_unpacker", "size", "state")

    def __init__(self) -> None:
        self.state = State.NEW
        self.size = 0  # bytes of the frame given last
        self._data = b""  # received and not yet given away from _at on
        self._at = 0
        self._fed = 0  # so much of _data the unpacker has
        self._base = 0  # its position of _data[0]
        self._unpacker: msgpack.Unpacker | None = None
        self._bad = 0

    @property
    def buffered(self) -> int:
        """Bytes received and not yet given away as frames."""
        return len(self._data) - self._at

    def receive_data(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.state is State.CLOSING:
            return
        if self._at == len(self._data):
            self._reset()
            self._data = data
        else:
            self._data = self._data[self._at :] + data
            self._base += self._at
            self._fed -= self._at
            self._at = 0

    def next_frame(self) -> ClientFrame | BadRequest | None:
        """The next frame; None when more bytes are needed, or none is to be read now.

        Raises:
            RemoteProtocolError: the stream is broken, or the frame came at the wrong time.
        """
        if self.state is State.WAITING or self.state is State.CLOSING or not self.buffered:
            return None
        try:
            frame = self._next()
        except RemoteProtocolError:
            self.close()
            raise
        except _PEERS_FAULT:
            self.close()
            raise RemoteProtocolError("this is no msgpack") from None
        if frame is None:
            return None
        if isinstance(frame, BadRequest):
            self._bad += 1
            if self._bad > MAX_BAD_IN_A_ROW:
                self.close()
                raise RemoteProtocolError("too many bad frames in a row")
            return frame
        self._bad = 0
        if type(frame) not in ACCEPTS[self.state]:
            name, state = type(frame).__name__.lower(), self.state.value
            self.close()
            raise RemoteProtocolError(
                f"`{name}` cannot come while the connection is {state}", Code.WRONG_TIME
            )
        return frame

    def close(self) -> None:
        """Give no more frames and keep no more bytes."""
        self.state = State.CLOSING
        self._reset()

    # --- cutting --------------------------------------------------------------------------

    def _next(self) -> ClientFrame | BadRequest | None:
        if self._unpacker is None:
            # Most often a chunk is just one frame: no need to look where it ends.
            whole = self._data[self._at :] if self._at else self._data
            if len(whole) <= MAX_FRAME and not _too_deep(whole):
                try:
                    frame = frames.client_decoder.decode(whole)
                except _PEERS_FAULT:
                    pass
                else:
                    self.size = len(whole)
                    self._reset()
                    return frame
        cut = self._cut()
        return None if cut is None else self._decode(cut)

    def _cut(self) -> bytes | None:
        """The bytes of the next whole frame, or None."""
        unpacker = self._unpacker
        if unpacker is None:
            unpacker = self._unpacker = msgpack.Unpacker(read_size=256, max_buffer_size=0)
            self._base, self._fed = -self._at, self._at
        if self._fed < len(self._data):
            unpacker.feed(self._data[self._fed :] if self._fed else self._data)
            self._fed = len(self._data)
        try:
            unpacker.skip()
        except msgpack.OutOfData:
            if self.buffered > MAX_FRAME:
                raise RemoteProtocolError(_TOO_LARGE, Code.TOO_LARGE) from None
            return None
        end = unpacker.tell() - self._base
        frame = self._data[self._at : end]
        self._at = end
        if end == len(self._data):
            self._reset()
        if len(frame) > MAX_FRAME:
            raise RemoteProtocolError(_TOO_LARGE, Code.TOO_LARGE)
        return frame

    def _decode(self, data: bytes) -> ClientFrame | BadRequest:
        self.size = len(data)
        if _too_deep(data) and depth(data) > MAX_DEPTH:
            raise RemoteProtocolError(f"a frame is nested deeper than {MAX_DEPTH}")
        try:
            return frames.client_decoder.decode(data)
        except _PEERS_FAULT as error:
            reason = str(error)[:MAX_REASON]
        try:
            ref = _ref_decoder.decode(data).ref
        except _PEERS_FAULT:
            raise RemoteProtocolError(f"not a frame: {reason}") from None
        return BadRequest(ref, _code_for(reason), reason)

    def _reset(self) -> None:
        self._data, self._at, self._fed, self._base = b"", 0, 0, 0
        self._unpacker = None


_TOO_LARGE = f"a frame has at most {MAX_FRAME} bytes"


def _code_for(reason: str) -> Code:
    """Which code fits what the decoder says, by the field that it names last."""
    if reason.endswith("`$.text`") and "length <=" in reason:
        return Code.TOO_LARGE
    if reason.endswith(("`$.room`", "`$.name`")):
        return Code.BAD_NAME
    return Code.BAD_FRAME


def _too_deep(data: bytes) -> bool:
    """False when `data` cannot be nested deeper than MAX_DEPTH; True: count."""
    return len(data.translate(None, _NOT_CONTAINERS)) > MAX_DEPTH


# Sizes of what follows the first byte: (bytes of a length, fixed bytes more).
_LENGTHS = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_LENGTHS |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}


def depth(data: bytes) -> int:
    """How deep maps and arrays are nested in one whole, well-formed object."""
    deepest, at, open_items = 0, 0, [1]
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        first = data[at]
        at += 1
        children = -1
        if first <= 0x7F or first >= 0xE0:
            pass
        elif first <= 0x8F:
            children = 2 * (first & 0x0F)
        elif first <= 0x9F:
            children = first & 0x0F
        elif first <= 0xBF:
            at += first & 0x1F
        elif first >= 0xDC:
            width = 2 if first in (0xDC, 0xDE) else 4
            children = int.from_bytes(data[at : at + width], "big")
            children *= 2 if first >= 0xDE else 1
            at += width
        elif first in _LENGTHS:
            width, more = _LENGTHS[first]
            at += width + int.from_bytes(data[at : at + width], "big") + more
        else:
            at += _FIXED[first]
        if children >= 0:
            open_items.append(children)
            deepest = max(deepest, len(open_items) - 1)
    return deepest

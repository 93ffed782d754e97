"""The native door's side of a connection: bytes in, frames out. Pure; see docs/protocol.md."""

from __future__ import annotations

import enum
import typing
from typing import NamedTuple

import msgpack
import msgspec

from gateway.scan import Scanner
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


_GREETINGS: frozenset[type[Frame]] = frozenset({frames.Hello, frames.Login, frames.Resume})
_LATER: frozenset[type[Frame]] = frozenset(typing.get_args(ClientFrame)) - _GREETINGS
ACCEPTS: dict[State, frozenset[type[Frame]]] = {
    State.NEW: _GREETINGS,
    State.WAITING: frozenset(),  # next_frame() gives nothing until it is over
    State.READY: _LATER,
    State.CLOSING: frozenset(),
}


class BadRequest(NamedTuple):
    """A frame with a `ref` that cannot be one: it is answered, and the connection lives on."""

    ref: int
    code: Code
    text: str


class WrongTime(RemoteProtocolError):
    """A frame that this state of the connection does not take. `ref` is the frame's own."""

    def __init__(self, text: str, ref: int) -> None:
        super().__init__(text, Code.WRONG_TIME)
        self.ref = ref


class _OnlyRef(msgspec.Struct):
    ref: frames.Ref


_ref_decoder = msgspec.msgpack.Decoder(_OnlyRef)
# Bytes that begin a map or array; a frame with no more of these than MAX_DEPTH is not too deep.
_CONTAINERS = frozenset([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
_NOT_CONTAINERS = bytes(set(range(256)) - _CONTAINERS)
_LARGEST_EXTENSION = b"\xc9\xff\xff\xff\xff"  # its length and the byte of its type wrap to 0 in C
# The peer's fault, all of them: one error to the outside.
_PEERS_FAULT = (msgpack.UnpackException, msgspec.MsgspecError, ValueError, RecursionError)


class NativeProtocol:
    """Cuts a stream of msgpack maps into frames and says which may come when.

    Holds at most the last chunk given to it and MAX_FRAME bytes of an unfinished frame.
    """

    __slots__ = ("_at", "_bad", "_data", "_scanner", "_unpacker", "size", "state")

    def __init__(self) -> None:
        self.state = State.NEW
        self.size = 0  # bytes of the frame given last
        self._data = b""  # received and not yet given away from _at on
        self._at = 0
        self._unpacker: msgpack.Unpacker | None = None  # while several frames came at once
        self._scanner: Scanner | None = None  # while a frame is unfinished
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
            self._at = 0
            self._unpacker = None  # it was given what there was

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
            raise WrongTime(f"`{name}` cannot come while the connection is {state}", frame.ref)
        return frame

    def close(self) -> None:
        """Give no more frames and keep no more bytes."""
        self.state = State.CLOSING
        self._reset()

    # --- cutting --------------------------------------------------------------------------

    def _next(self) -> ClientFrame | BadRequest | None:
        if self._scanner is None and self._unpacker is None:
            # Most often a chunk is just one frame: no need to look where it ends.
            whole = self._data[self._at :] if self._at else self._data
            if len(whole) <= MAX_FRAME and not _may_be_deep(whole):
                try:
                    frame = frames.client_decoder.decode(whole)
                except _PEERS_FAULT:
                    pass
                else:
                    self.size = len(whole)
                    self._reset()
                    return frame
        length = self._length_of_next()
        if length is None:
            return None
        cut = self._data[self._at : self._at + length]
        self._at += length
        self._scanner = None
        if self._at == len(self._data):
            self._reset()
        return self._decode(cut)

    def _length_of_next(self) -> int | None:
        """How many bytes the next frame has, or None while it is not whole."""
        if self._scanner is None:
            length = self._skip()
            if length is not None and length <= MAX_FRAME and not self._wraps(length):
                return length
            # Unfinished or broken. The scanner says which, as soon as the bytes can tell it.
            self._unpacker = None
            self._scanner = Scanner(MAX_FRAME, MAX_DEPTH)
        return self._scanner.scan(self._data[self._at :] if self._at else self._data)

    def _skip(self) -> int | None:
        """The length of the next frame, at the speed of C; None when it is not whole and sound."""
        unpacker = self._unpacker
        if unpacker is None:
            unpacker = self._unpacker = msgpack.Unpacker(read_size=256, max_buffer_size=0)
            unpacker.feed(self._data[self._at :] if self._at else self._data)
        before: int = unpacker.tell()
        try:
            unpacker.skip()
        except _PEERS_FAULT:
            return None
        after: int = unpacker.tell()
        return after - before

    def _wraps(self, length: int) -> bool:
        """Whether the next frame may hold an extension of 4 GiB - 1: `skip` takes it for empty."""
        return self._data.find(_LARGEST_EXTENSION, self._at, self._at + length) >= 0

    def _decode(self, data: bytes) -> ClientFrame | BadRequest:
        self.size = len(data)
        if _may_be_deep(data):
            Scanner(MAX_FRAME, MAX_DEPTH).scan(data)
        try:
            return frames.client_decoder.decode(data)
        except _PEERS_FAULT as error:
            reason = str(error)[:MAX_REASON]
        try:
            ref = _ref_decoder.decode(data).ref
        except _PEERS_FAULT:
            raise RemoteProtocolError(f"not a frame: {reason}") from None
        code = _code_for(reason)
        return BadRequest(ref, code, _SENTENCES.get(code, reason))

    def _reset(self) -> None:
        self._data, self._at = b"", 0
        self._unpacker, self._scanner = None, None


_TEXTS = ("`$.text`", "`$.reaction`", "`$.password`", "`$.old`", "`$.new`")
_NAMES = ("`$.room`", "`$.name`", "`$.to`", "`key` in `$.rooms`")


# For people, who may have typed it; of a bad frame the program's author is told.
_SENTENCES = {
    Code.TOO_LARGE: "that is longer than it may be",
    Code.BAD_NAME: "a name has 1 to 32 characters, without white space and , : # @ | / ! * ?",
}


def _code_for(reason: str) -> Code:
    """Which code fits what the decoder says, by the field that it names last."""
    if reason.endswith(_TEXTS) and "length <=" in reason:
        return Code.TOO_LARGE
    if reason.endswith(_NAMES) and ("regex" in reason or "length" in reason):
        return Code.BAD_NAME
    return Code.BAD_FRAME


def _may_be_deep(data: bytes) -> bool:
    """False when `data` cannot be nested deeper than MAX_DEPTH; True: count."""
    return len(data.translate(None, _NOT_CONTAINERS)) > MAX_DEPTH

"""Cutting the stream of bytes from a server into frames (docs/protocol.md, Framing)."""

from __future__ import annotations

from typing import Any, get_args

import msgpack
import msgspec

from hubbub.errors import Code, EpochChanged, OutcomeUnknown, Refused, RemoteProtocolError
from hubbub.frames import Error, Event, Message, ServerFrame, server_decoder

# A page of 500 texts of 4,000 characters that take 4 bytes each fits in with room to spare.
MAX_ANSWER = 16 * 1024 * 1024

_KNOWN = frozenset(str(frame.__struct_config__.tag) for frame in get_args(ServerFrame))
_generic: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()
_entries: msgspec.msgpack.Decoder[Message | Event] = msgspec.msgpack.Decoder(Message | Event)


class FrameReader:
    """Bytes in, frames out, each with its size in bytes. Holds at most `limit` bytes."""

    def __init__(self, limit: int = MAX_ANSWER) -> None:
        self._unpacker = msgpack.Unpacker(max_buffer_size=limit)
        self._buffer = bytearray()
        self._base = 0  # how many bytes of the stream came before the buffer

    def feed(self, data: bytes) -> list[tuple[ServerFrame, int]]:
        """The frames that `data` completes. Frames of kinds not known here are skipped.

        Raises:
            RemoteProtocolError: this is no stream of frames; nothing more can be read from it.
        """
        frames: list[tuple[ServerFrame, int]] = []
        done = 0
        try:
            self._unpacker.feed(data)
            self._buffer += data
            while True:
                self._unpacker.skip()
                end = self._unpacker.tell() - self._base
                frame = _decode(self._buffer[done:end])
                if frame is not None:
                    frames.append((frame, end - done))
                done = end
        except msgpack.OutOfData:
            pass
        except (msgpack.UnpackException, ValueError, RecursionError) as error:
            # BufferFull, FormatError, StackError: all are the peer's fault, and mean the same here.
            raise RemoteProtocolError(f"not a stream of frames: {error}") from None
        del self._buffer[:done]
        self._base += done
        return frames


def _decode(data: bytearray) -> ServerFrame | None:
    try:
        return server_decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if _is_unknown_kind(data):
            return None  # of a newer server: what old clients must not ignore raises PROTOCOL
        raise RemoteProtocolError(f"not a frame: {error}") from None


def _is_unknown_kind(data: bytearray) -> bool:
    try:
        value = _generic.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("t"), str) and value["t"] not in _KNOWN


def decode_entries(raw: list[msgspec.Raw]) -> list[Message | Event]:
    """The log entries of a `page`.

    Raises:
        RemoteProtocolError: one is neither `message` nor `event`.
    """
    try:
        return [_entries.decode(one) for one in raw]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"not a log entry: {error}") from None


def decode_message(raw: msgspec.Raw) -> Message:
    """A message that a search found.

    Raises:
        RemoteProtocolError: it is none.
    """
    entry = decode_entries([raw])[0]
    if not isinstance(entry, Message):
        raise RemoteProtocolError("a search found what is no message")
    return entry


def to_exception(error: Error) -> Refused:
    """The exception that tells the caller of an `error` frame."""
    if error.code == Code.UNKNOWN:
        return OutcomeUnknown(error.text)
    if error.code == Code.EPOCH_CHANGED:
        return EpochChanged(error.text, error.epoch, error.head, error.room)
    try:
        code = Code(error.code)
    except ValueError:  # of a newer server
        code = Code.NOT_ALLOWED
    return Refused(code, error.text, error.retry_after)

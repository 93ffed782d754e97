"""The frames on the bus: what gateways and the owner of the shards say to each other.

Every bus message is one ZeroMQ part: bus topic, one type byte, payload.

    all/             S  the stream: batches of what the owner committed, by position (`StreamBatch`)
    g/<gateway>/     S  a batch of the stream that this gateway asked for again
                     M  answers and questions to one gateway (`ToGateway`)
                     C  the process's own canary
    all/             T  who is typing on one gateway (`TypingBatch`); may be lost
    w/<shard>/       M  a gateway to the owner (`ToOwner`)
    o/<worker>/      C  the worker's own canary

A topic ends with "/", which no part of it holds, since ZeroMQ matches by prefix.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import ClientFrame, Person, Reply, RoomState

VERSION = 1
SHARDS = 16  # fixed for the life of a database: rooms and names hash to one
BATCH_BYTES = 64 * 1024  # aim of one bus message
MAX_BUS_BYTES = 4 * 1024 * 1024  # more than that is never received

STREAM_TOPIC = b"all/"
STREAM, MESSAGE, CANARY, TYPING = b"S", b"M", b"C", b"T"


def shard_topic(shard: int) -> bytes:
    """Where the owner of `shard` is spoken to."""
    return b"w/%d/" % shard


def rooms_digest(rooms: Iterable[int]) -> int:
    """Tells two sets of room ids apart, whatever their order."""
    digest = 0
    for room in rooms:
        digest ^= (room * 0x9E3779B97F4A7C15 + 0x7F4A7C15) & 0x7FFFFFFFFFFFFFFF
    return digest


def gateway_topic(gateway: str) -> bytes:
    """Where one gateway process is spoken to; `gateway` is unique per process start."""
    return b"g/" + gateway.encode() + b"/"


def worker_topic(worker: str) -> bytes:
    """Where a worker process hears its own canary."""
    return b"o/" + worker.encode() + b"/"


# --- the stream ------------------------------------------------------------------------------


class Kind(enum.IntEnum):
    """What an item of the stream is. Below 16: `body` is what a native client is sent."""

    MESSAGE = 1  # numbered
    EVENT = 2  # numbered
    PRESENCE = 3  # not numbered; the gateway keeps its rosters by it
    # `sender` = session, `seq` = generation from which on it is over; body = `Ending`, or nothing
    SESSION_OVER = 16
    SESSION_RENAMED = 17  # `sender` = session; body = the new name
    GATEWAY_GONE = 18  # body = the gateway's id: its sessions count as lost
    # The three below concern one person: `sender` is their sender number.
    MEMBER_IN = 19  # is in the room now; `seq` = the session that asked; body = `Entry`
    MEMBER_OUT = 20  # is no longer; `seq` = the session that asked; body = the others' `parted`
    PERSONAL = 21  # body = what every session of theirs is sent, after what `room` has had so far
    ANNOUNCEMENT = 22  # body = what every session is sent


class Item(NamedTuple):
    """One thing that happened. `room` is 0 where none is concerned, `seq` 0 where not numbered.

    For PRESENCE `sender` is the *sender number* of the person concerned.
    """

    kind: int
    room: int
    seq: int
    sender: int
    body: bytes


class StreamBatch(NamedTuple):
    """Consecutive items under one position. No items: the position is repeated, not a new one."""

    term: int
    position: int
    epoch: int
    items: list[Item]


_HEAD = struct.Struct("!BQQQI")  # version, term, position, epoch, number of items
_ITEM = struct.Struct("!BQQQI")  # kind, room, seq, sender, length of the body


def pack_stream(term: int, position: int, epoch: int, items: Sequence[Item]) -> bytes:
    """Encode a batch (without topic and type byte)."""
    parts = [_HEAD.pack(VERSION, term, position, epoch, len(items))]
    pack = _ITEM.pack
    for kind, room, seq, sender, body in items:
        parts.append(pack(kind, room, seq, sender, len(body)))
        parts.append(body)
    return b"".join(parts)


def unpack_stream(data: bytes, offset: int = 0) -> StreamBatch:
    """Decode what `pack_stream` made.

    Raises:
        RemoteProtocolError: cut short, too long, or of another version.
    """
    try:
        version, term, position, epoch, count = _HEAD.unpack_from(data, offset)
        if version != VERSION:
            raise RemoteProtocolError(f"stream version {version}, not {VERSION}")
        at = offset + _HEAD.size
        items: list[Item] = []
        unpack, size = _ITEM.unpack_from, _ITEM.size
        for _ in range(count):
            kind, room, seq, sender, length = unpack(data, at)
            at += size
            end = at + length
            if end > len(data):
                raise RemoteProtocolError("stream batch cut short")
            items.append(Item(kind, room, seq, sender, data[at:end]))
            at = end
    except struct.error:
        raise RemoteProtocolError("stream batch cut short") from None
    if at != len(data):
        raise RemoteProtocolError("bytes after a stream batch")
    return StreamBatch(term, position, epoch, items)


def peek_stream(data: bytes, offset: int = 0) -> tuple[int, int, int]:
    """(term, position, number of items) of a batch, without decoding it.

    Raises:
        RemoteProtocolError: too short, or of another version.
    """
    try:
        version, term, position, _, count = _HEAD.unpack_from(data, offset)
    except struct.error:
        raise RemoteProtocolError("stream batch cut short") from None
    if version != VERSION:
        raise RemoteProtocolError(f"stream version {version}, not {VERSION}")
    return term, position, count


# --- gateway to owner ------------------------------------------------------------------------


class BusFrame(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of the frames below: arrays, so that new fields with defaults go to the end."""


class Lost(msgspec.Struct, frozen=True, tag_field="t", tag="lost"):
    """The connection of the asking session ended without a goodbye. Answered by `ok`."""


class Fetch(msgspec.Struct, frozen=True, tag_field="t", tag="fetch"):
    """Log entries of room `room_id` above `after`, oldest first, for a gateway that lacks them."""

    room_id: int
    after: int
    limit: int = 500


OwnerFrame: TypeAlias = ClientFrame | Lost | Fetch


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """One request of one session. `session` is 0 before there is one."""

    no: int  # numbers the asks of this gateway process, rising, never reused
    session: int
    generation: int
    frame: OwnerFrame
    address: str = ""  # the peer's, with `hello` and `resume`
    snapshot: bool = False  # the gateway does not follow this room yet: send a Snapshot


class Batch(BusFrame, frozen=True):
    """Asks in the order they were made; batches of one (gateway, term) are numbered 1, 2, 3 ..."""

    gateway: str
    term: int
    number: int
    first: int  # every batch below this one is done with: answered, or given up
    repeat: bool  # asked before: the answer goes through all brokers
    asks: list[Ask]


class Refill(BusFrame, frozen=True):
    """Send the batches of the stream first..last again."""

    gateway: str
    term: int
    first: int
    last: int


class Sync(BusFrame, frozen=True):
    """Begin anew: what is the position, which of my sessions live, how do my rooms stand?

    `inside` holds, for each of `sessions`, `rooms_digest` of the rooms that its connection is in.
    """

    gateway: str
    term: int  # the highest seen; 0 at start
    no: int  # repeated by the answer
    sessions: list[tuple[int, int]] = []  # (session, generation) that have a connection here
    rooms: list[int] = []  # room ids
    inside: list[int] = []


class Alive(BusFrame, frozen=True):
    """The gateway lives: sent every second, and at once as the answer to a `Probe`."""

    gateway: str
    term: int
    nonce: int = 0  # of the probe


class Draining(BusFrame, frozen=True):
    """The gateway is about to exit; no `Probe` is needed when it vanishes."""

    gateway: str
    term: int


ToOwner: TypeAlias = Batch | Refill | Sync | Alive | Draining

# --- owner to gateway ------------------------------------------------------------------------


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A room as it stood at the position of the frame that carries this."""

    room_id: int
    room: str
    head: int
    first: int
    count: int
    roster: list[Person]
    title: str = ""
    private: bool = False
    pair: list[Person] = []  # of a conversation of two: both, here or not


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """The body of MEMBER_IN: the room as it stands right after it, and what is personal in it."""

    snapshot: Snapshot
    own: RoomState


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """The body of SESSION_OVER, where there is more to say than that it goes on elsewhere."""

    code: str
    text: str


class TypingBatch(msgspec.Struct, frozen=True, array_like=True):
    """Who began or goes on typing at one gateway: (room id, sender, name)."""

    gateway: str
    typing: list[tuple[int, int, str]]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The reply to one Ask; its `ref` is 0 and set by the gateway.

    `session` and `generation` come with a `welcome`. `rooms` are the snapshots of the
    joined room or of the session's rooms. `inside` belongs to a `roster` that answers a join:
    whether the person is in the room at the position of this answer (a repeated join may have
    been undone by then).
    """

    no: int
    reply: Reply | Fetched
    session: int = 0
    generation: int = 0
    rooms: list[Snapshot] = []
    inside: bool = True


class Fetched(msgspec.Struct, frozen=True, tag_field="t", tag="fetched"):
    """The answer to Fetch: (seq, kind, body) without a hole; empty when `after` is the head."""

    room_id: int
    events: list[tuple[int, int, bytes]]
    head: int


class Answers(BusFrame, frozen=True):
    """Replies, to be acted on when the stream has been delivered up to `position`."""

    term: int
    position: int
    taken: int  # batches of this gateway taken so far, without a hole
    answers: list[Answer]


class Missing(BusFrame, frozen=True):
    """Batches first..last of the gateway's own numbered stream have not arrived."""

    term: int
    first: int
    last: int


class TooOld(BusFrame, frozen=True):
    """The stream is no longer kept back to where a Refill began: Sync."""

    term: int
    position: int


class Synced(BusFrame, frozen=True):
    """The answer to Sync, true at `position`; in several parts when the rosters are large.

    `inside` lists the rooms of each session whose connection is in others than it should be
    (with what is personal in them); the snapshots of these rooms are among `rooms`.
    """

    term: int
    position: int
    epoch: int
    no: int
    over: list[int]  # sessions asked about that do not live (with that generation) any more
    rooms: list[Snapshot]
    unknown_rooms: list[int] = []
    part: int = 0
    parts: int = 1
    inside: list[tuple[int, list[tuple[int, RoomState]]]] = []


class Probe(BusFrame, frozen=True):
    """Are you there? Answered by Alive with the nonce."""

    term: int
    nonce: int


ToGateway: TypeAlias = Answers | Missing | TooOld | Synced | Probe

encoder = msgspec.msgpack.Encoder()
_owner_decoder: msgspec.msgpack.Decoder[ToOwner] = msgspec.msgpack.Decoder(ToOwner)
_gateway_decoder: msgspec.msgpack.Decoder[ToGateway] = msgspec.msgpack.Decoder(ToGateway)


def decode_to_owner(payload: bytes | memoryview) -> ToOwner:
    """Decode what came on `w/<shard>/`.

    Raises:
        RemoteProtocolError: it is no such frame.
    """
    try:
        return _owner_decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"bad bus frame: {error}", Code.BAD_FRAME) from None


def decode_to_gateway(payload: bytes | memoryview) -> ToGateway:
    """Decode what came on `g/<gateway>/`.

    Raises:
        RemoteProtocolError: it is no such frame.
    """
    try:
        return _gateway_decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"bad bus frame: {error}", Code.BAD_FRAME) from None

"""What the owner remembers of sessions, rooms and done requests, as plain values."""

from __future__ import annotations

import enum
import hashlib
import zlib
from functools import lru_cache
from typing import NamedTuple

import msgspec

from hubbub import names
from hubbub.wire import SHARDS


class Presence(enum.IntEnum):
    """Where a session is in its life; stored, so the numbers stay."""

    HERE = 0  # it has a connection
    GONE = 1  # the connection is lost, and rosters say so
    LEFT = 2  # lost for longer than `left_after`: in no roster any more
    OVER = 3  # ended: its name is free


class Session(msgspec.Struct, frozen=True):
    """One session. A change makes a new record, so a plan can be thrown away."""

    id: int
    sender: int  # the person; never reused
    name: str
    key: str  # of the name
    visible: bool
    generation: int  # raised by each resume: requests of older ones are refused
    gateway: str  # that has its connection, or had it last
    token: bytes  # SHA-256 of the resume token
    presence: Presence = Presence.HERE
    rooms: frozenset[int] = frozenset()
    agent: str = ""
    address: str = ""

    @property
    def seen_in(self) -> frozenset[int]:
        """The rooms whose rosters hold it."""
        return self.rooms if self.visible and self.presence < Presence.LEFT else frozenset()


class Room:
    """One room. `members` are sessions; `roster` those of them that are seen, in order of entry."""

    __slots__ = ("count", "first", "head", "id", "key", "members", "name", "roster")

    def __init__(
        self, id: int, name: str, key: str, *, head: int = 0, first: int = 1, count: int = 0
    ) -> None:
        self.id = id
        self.name = name
        self.key = key
        self.head = head
        self.first = first
        self.count = count
        self.members: set[int] = set()
        self.roster: dict[int, None] = {}


class Done(NamedTuple):
    """What a request with an id has led to: kept for 7 days, so that asking again is harmless.

    For `hello` (kept under sender 0) `room` is the session and `seq` the sender.
    """

    digest: bytes
    at: int  # milliseconds since 1970
    room: int
    seq: int


class EventRow(NamedTuple):
    """One entry of a room's log as it is stored; `body` is what native clients are sent."""

    room: int
    seq: int
    kind: int
    sender: int
    at: int
    messages: int  # that the room has had
    body: bytes


# Rooms are named in every request, and few rooms in most of them.
key_of = lru_cache(maxsize=8192)(names.name_key)

_encode = msgspec.msgpack.Encoder().encode


def digest_of(*what: object) -> bytes:
    """Tells two requests with one id apart; nobody gains by a collision, so it is short."""
    return hashlib.blake2b(_encode(what), digest_size=8).digest()


def shard_of(key: str) -> int:
    """The shard that a room or name belongs to, for the life of a database."""
    return zlib.crc32(key.encode()) % SHARDS


def token_hash(token: str) -> bytes:
    """The form in which a resume token is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

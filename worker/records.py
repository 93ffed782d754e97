"""What the owner remembers of people, sessions, rooms and done requests, as plain values."""

from __future__ import annotations

import enum
import hashlib
import zlib
from typing import NamedTuple

import msgspec

from hubbub.wire import SHARDS

FOREVER = 2**53 - 1  # milliseconds since 1970: the end of what is to be taken back by hand


class Presence(enum.IntEnum):
    """Where a session is in its life; stored, so the numbers stay."""

    HERE = 0  # it has a connection
    GONE = 1  # the connection is lost, and rosters say so
    LEFT = 2  # lost for longer than `left_after`: in no roster any more
    OVER = 3  # ended: its name is free


class RoomKind(enum.IntEnum):
    """Who may enter a room; stored, so the numbers stay."""

    PUBLIC = 0  # everybody
    PRIVATE = 1  # who is invited
    DIRECT = 2  # the two whose conversation it is


class Rank(enum.IntEnum):
    """What a member is in a room; stored, so the numbers stay."""

    FORMER = -1  # was a member once
    MEMBER = 0
    OPERATOR = 1
    OWNER = 2

    @property
    def word(self) -> str:
        """As frames call it."""
        return self.name.lower()


class Session(msgspec.Struct, frozen=True):
    """One session. A change makes a new record, so a plan can be thrown away."""

    id: int
    sender: int  # the person
    visible: bool
    generation: int  # raised by each resume: requests of older ones are refused
    gateway: str  # that has its connection, or had it last
    token: bytes  # SHA-256 of the resume token
    presence: Presence = Presence.HERE
    agent: str = ""
    address: str = ""
    device: int = 0  # by whose token it was begun; 0: a guest's
    state: str = "here"  # here | away | busy: what the person said
    away: str = ""


class Account(msgspec.Struct, frozen=True):
    """What a person has who is no guest."""

    password: str  # an argon2id hash with its parameters
    made_at: int  # milliseconds since 1970
    address: str = ""  # from where it was made
    operator: bool = False  # of the cluster
    suspended_until: int = 0  # milliseconds since 1970
    suspended_why: str = ""
    deleted_at: int = 0


class Person(msgspec.Struct, frozen=True):
    """Somebody with a sender number: a guest while its session lasts, or an account."""

    sender: int  # never reused
    name: str
    key: str  # of the name
    account: Account | None = None
    sessions: frozenset[int] = frozenset()
    rooms: frozenset[int] = frozenset()
    blocked: frozenset[int] = frozenset()  # senders
    state: str = ""  # of all visible sessions together; empty: not present
    away: str = ""

    @property
    def seen_in(self) -> frozenset[int]:
        """The rooms whose rosters hold them."""
        return self.rooms if self.state else frozenset()

    @property
    def is_operator(self) -> bool:
        """Whether this is an operator of the cluster."""
        return self.account is not None and self.account.operator

    @property
    def is_deleted(self) -> bool:
        """Whether only the name is left of an account."""
        return self.account is not None and self.account.deleted_at > 0

    def is_suspended(self, at: int) -> bool:
        """Whether the account is shut out at a time."""
        return self.account is not None and self.account.suspended_until > at


class Device(msgspec.Struct, frozen=True):
    """A place where an account is logged in."""

    id: int
    sender: int
    token: bytes  # SHA-256 of it
    label: str
    made_at: int
    used_at: int
    address: str = ""


class Restriction(msgspec.Struct, frozen=True):
    """A ban from a room, or a mute in it."""

    kind: str  # ban | mute
    sender: int
    name: str  # theirs, when it was made
    by: str
    at: int
    until: int  # milliseconds since 1970
    text: str = ""
    address: str = ""  # of a guest that was banned: others from there are kept out, too


class Invite(NamedTuple):
    """An invitation that was not taken up yet."""

    by: int
    by_name: str
    at: int


class Mark(NamedTuple):
    """How far a person has read a room."""

    seq: int = 0
    messages: int = 0  # how many the room had had by then


NO_MARK = Mark()


class Room:
    """One room. `members` are people; `roster` those of them that are seen, in order of entry."""

    __slots__ = (
        "closed", "count", "first", "former", "head", "id", "invites", "key", "kind", "members",
        "name", "ranks", "restrictions", "roster", "title",
    )  # fmt: skip

    def __init__(
        self,
        id: int,
        name: str,
        key: str,
        *,
        kind: RoomKind = RoomKind.PUBLIC,
        title: str = "",
        head: int = 0,
        first: int = 1,
        count: int = 0,
    ) -> None:
        self.id = id
        self.name = name
        self.key = key
        self.kind = kind
        self.title = title
        self.head = head
        self.first = first
        self.count = count
        self.closed = False
        self.members: set[int] = set()
        self.roster: dict[int, None] = {}
        self.ranks: dict[int, Rank] = {}  # of those above plain members
        self.former: set[int] = set()  # accounts that were members once
        self.restrictions: dict[tuple[str, int], Restriction] = {}  # by kind and sender
        self.invites: dict[int, Invite] = {}

    @property
    def size(self) -> int:
        """How many people are in it."""
        return len(self.members)

    def rank_of(self, sender: int) -> Rank:
        """What a member is in here."""
        return self.ranks.get(sender, Rank.MEMBER)

    def was_member(self, sender: int) -> bool:
        """Whether an account that is no member was one."""
        return sender in self.former

    @property
    def has_restrictions(self) -> bool:
        """Whether anybody is, or was, banned or muted."""
        return bool(self.restrictions)

    def restriction(self, kind: str, sender: int) -> Restriction | None:
        """The ban or mute of somebody, also one that is over."""
        return self.restrictions.get((kind, sender))

    def all_restrictions(self) -> list[Restriction]:
        """Every ban and mute."""
        return list(self.restrictions.values())

    def invite_of(self, sender: int) -> Invite | None:
        """The invitation of somebody."""
        return self.invites.get(sender)


class Decided(NamedTuple):
    """Up to where an owner before has decided the requests of a session through one gateway.

    What is not in `done` up to there was refused, whatever would be said of it now: else a line
    that was refused could be done after one that was said later.
    """

    gateway: str
    no: int  # of an ask


class Done(NamedTuple):
    """What a request with an id has led to: kept for 7 days, so that asking again is harmless.

    For `hello` and `login` (kept under sender 0) `room` is the session and `seq` the sender; for
    `register` and `passwd` `seq` is the device.
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


class AuditRow(NamedTuple):
    """One act of an operator of the cluster."""

    at: int
    by: int
    by_name: str
    action: str
    target: str
    text: str


_encode = msgspec.msgpack.Encoder().encode


def digest_of(*what: object) -> bytes:
    """Tells two requests with one id apart; nobody gains by a collision, so it is short."""
    return hashlib.blake2b(_encode(what), digest_size=8).digest()


def shard_of(key: str) -> int:
    """The shard that a room or name belongs to, for the life of a database."""
    return zlib.crc32(key.encode()) % SHARDS


def token_hash(token: str) -> bytes:
    """The form in which a resume or device token is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

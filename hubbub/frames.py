"""The common frames: what clients and gateways say to each other, on every door.

A frame is a msgpack map whose key "t" is its class name in lower case (`say`, `welcome`, ...);
keys whose value is the default may be left out, unknown keys are ignored. docs/protocol.md is
generated from this module: a class's docstring is its description, a field's `Meta` its line.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

PROTOCOL = 1  # raised only by a change that old clients could not ignore
MAX_TEXT = 4_000  # characters
MAX_FRAME = 64 * 1024  # bytes of one frame from a client
MAX_DEPTH = 4  # nesting of one frame from a client
MAX_PAGE = 500  # events of one page of history
MAX_RESUMED_ROOMS = 500  # rooms that one `resume` may name

Ref: TypeAlias = Annotated[
    int, Meta(ge=0, le=2**53 - 1, description="names this request; its answer repeats it")
]
Id: TypeAlias = Annotated[
    bytes,
    Meta(
        min_length=16,
        max_length=16,
        description="16 random bytes chosen by the sender and kept when it asks again: done once",
    ),
]
# A coarse net; hubbub.names has the rules. "$" would let "lobby\n" through.
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[^\s,:#@|/!*?]+\Z")]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag=str.lower):
    """Base of every frame. On the wire: one map whose "t" key is the class name."""


# --- client to server ------------------------------------------------------------------------


class Hello(Frame, frozen=True):
    """Begin a session as a guest. Answered by `welcome`."""

    ref: Ref
    id: Id
    name: Name | None = None  # None: a fresh guest name is given
    visible: bool = True  # False: nobody sees this session enter, leave or be there
    agent: Annotated[str, Meta(max_length=64)] = ""  # what client this is, for the operator
    protocol: int = PROTOCOL


class Resume(Frame, frozen=True):
    """Continue a session after its connection was lost. Answered by `welcome`.

    Rooms whose `rooms` cursor is below the head are `behind`: page `history` from the cursor.
    A room without a cursor goes on from its head.
    """

    ref: Ref
    id: Id
    token: Token
    epoch: int = 0  # the numbering that the cursors belong to
    rooms: Annotated[dict[Name, Seq], Meta(max_length=MAX_RESUMED_ROOMS)] = {}
    agent: Annotated[str, Meta(max_length=64)] = ""


class Join(Frame, frozen=True):
    """Enter a room; one that does not exist is made. Answered by `roster`; what follows is live.

    With `since` (and its `epoch`) the reader already has everything up to that number: if the
    head is above it, `behind` follows and the gap is paged with `history`.
    """

    ref: Ref
    id: Id
    room: Name
    since: Seq | None = None
    epoch: int = 0


class Leave(Frame, frozen=True):
    """Leave a room. Answered by `ok`, also when one was not in it."""

    ref: Ref
    id: Id
    room: Name


class Say(Frame, frozen=True):
    """Post `text` in a room that one has joined. Answered by `ok` with the number, once stored."""

    ref: Ref
    id: Id
    room: Name
    text: Text
    action: bool = False  # "/me": shown as "* Name text"


class Nick(Frame, frozen=True):
    """Take another name. Answered by `ok`; every room one is seen in gets a `renamed` event."""

    ref: Ref
    id: Id
    name: Name


class History(Frame, frozen=True):
    """Events of a room by number. Answered by `page`.

    `after`: those above it, oldest first. `before`: the last ones below it, also oldest first.
    Neither: the newest. The page that reaches the head ends a `behind`.
    """

    ref: Ref
    room: Name
    after: Seq | None = None
    before: Seq | None = None
    limit: Limit = 100
    epoch: int = 0  # 0: whatever numbering there is


class Members(Frame, frozen=True):
    """Who is in a room. Answered by `roster`."""

    ref: Ref
    room: Name


class Rooms(Frame, frozen=True):
    """The public rooms in the order of their names. Answered by `roomlist`."""

    ref: Ref
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Limit = 100


class Peers(Frame, frozen=True):
    """Who can be talked to, in the order of their names. Answered by `peerlist`."""

    ref: Ref
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Limit = 100


class Status(Frame, frozen=True):
    """How the cluster is. Answered by `report`."""

    ref: Ref


class Ping(Frame, frozen=True):
    """Answered by `pong` when all that was answered to anybody before this has been delivered."""

    ref: Ref


class Bye(Frame, frozen=True):
    """End the session: its rooms are left, its name is free. Answered by `ok`, then closed."""

    ref: Ref
    id: Id
    text: Annotated[str, Meta(max_length=200)] = ""


ClientFrame: TypeAlias = (
    Hello
    | Resume
    | Join
    | Leave
    | Say
    | Nick
    | History
    | Members
    | Rooms
    | Peers
    | Status
    | Ping
    | Bye
)

# --- server to client: answers ---------------------------------------------------------------


class Person(Frame, frozen=True):
    """One session in a roster. `sender` stays when the name changes."""

    sender: int
    name: str
    state: str = "here"  # here | gone: its connection is lost, and it may come back


class RoomState(Frame, frozen=True):
    """Where a room stands."""

    room: str
    head: int = 0  # the number of its newest event
    first: int = 1  # the oldest number that is still kept
    count: int = 0  # how many messages it has had


class Welcome(Frame, frozen=True):
    """The session is open. `token` resumes it within `resume_within` seconds of a cut."""

    ref: int
    session: int
    sender: int
    name: str
    token: str
    epoch: int  # which numbering the cluster's rooms are in
    gateway: str = ""
    version: str = ""
    resume_within: float = 60.0  # seconds
    max_text: int = MAX_TEXT  # characters
    rooms: list[RoomState] = []  # those of a resumed session


class Ok(Frame, frozen=True):
    """Done, and stored where there was something to store."""

    ref: int
    room: str = ""
    seq: int = 0  # the number in the room, for `say`
    at: int = 0  # milliseconds since 1970, UTC


class Error(Frame, frozen=True):
    """Not done. Without `ref` it is about the connection, which then closes."""

    code: str
    text: str
    ref: int | None = None
    retry_after: float | None = None  # seconds
    epoch: int = 0  # with `epoch_changed`: today's
    head: int = 0  # with `epoch_changed`: today's


class Roster(Frame, frozen=True):
    """A room and who is in it: the answer to `join` and `members`."""

    ref: int
    room: str
    head: int
    first: int = 1
    count: int = 0
    epoch: int = 0
    members: list[Person] = []


class Page(Frame, frozen=True):
    """A stretch of a room's log, oldest first, without a hole: the answer to `history`.

    `events` are `message` and `event` frames. `more`: there are newer ones below the head
    (`after`) or older ones above `first` (`before`).
    """

    ref: int
    room: str
    events: list[msgspec.Raw]
    head: int = 0
    first: int = 1
    epoch: int = 0
    more: bool = False


class RoomInfo(Frame, frozen=True):
    """One room of the directory."""

    room: str
    head: int = 0
    members: int = 0  # that are seen to be in it


class RoomList(Frame, frozen=True):
    """The answer to `rooms`. `more`: ask again with `after` = the last name."""

    ref: int
    rooms: list[RoomInfo]
    more: bool = False


class Peer(Frame, frozen=True):
    """One person that can be talked to."""

    name: str
    sender: int
    state: str = "here"  # here | gone
    gateway: str = ""


class PeerList(Frame, frozen=True):
    """The answer to `peers`. `more`: ask again with `after` = the last name."""

    ref: int
    peers: list[Peer]
    more: bool = False


class GatewayInfo(Frame, frozen=True):
    """One gateway as the owner sees it."""

    gateway: str
    sessions: int = 0
    silent_for: float = 0.0  # seconds since the owner heard of it


class Report(Frame, frozen=True):
    """The answer to `status`."""

    ref: int
    owner: str  # the active worker
    term: int
    position: int  # of the stream
    epoch: int
    uptime: float  # seconds since the owner took over
    rooms: int = 0
    sessions: int = 0
    events: int = 0  # stored since the database was made
    brokers: int = 0  # that the owner reaches
    gateways: list[GatewayInfo] = []
    version: str = ""


class Pong(Frame, frozen=True):
    """The answer to `ping`."""

    ref: int


# --- server to client: what happens ----------------------------------------------------------


class Message(Frame, frozen=True):
    """Something said in a room; one's own too, in its numbered place."""

    room: str
    seq: int
    sender: int
    name: str
    text: str
    at: int  # milliseconds since 1970, UTC
    count: int = 0  # messages the room has had, this one included
    action: bool = False


class Event(Frame, frozen=True):
    """Another entry of the room's log. `kind`: renamed (`name` became `to`)."""

    room: str
    seq: int
    kind: str
    sender: int
    name: str
    at: int
    count: int = 0
    to: str = ""


class Presence(Frame, frozen=True):
    """Somebody's presence in a room changed; not in its log, so without a number.

    `change`: entered, left, or state (the new `state` is all there is to tell).
    """

    room: str
    sender: int
    name: str
    change: str
    state: str = "here"
    at: int = 0
    why: str = ""


class Behind(Frame, frozen=True):
    """This connection is not shown the room's events from `next` on: page `history` after it."""

    room: str
    next: int
    head: int = 0
    epoch: int = 0


class Moving(Frame, frozen=True):
    """This gateway is closing: resume elsewhere, any time within `within` seconds."""

    within: float = 2.0


class Beat(Frame, frozen=True):
    """Still here: while the answer to a `hello` or `resume` takes longer than a moment, each
    second while any answer is late, and after a while with nothing to say.
    """


ServerFrame: TypeAlias = (
    Welcome
    | Ok
    | Error
    | Roster
    | Page
    | RoomList
    | PeerList
    | Report
    | Pong
    | Message
    | Event
    | Presence
    | Behind
    | Moving
    | Beat
)
Reply: TypeAlias = Welcome | Ok | Error | Roster | Page | RoomList | PeerList | Report | Pong

encoder = msgspec.msgpack.Encoder()
client_decoder: msgspec.msgpack.Decoder[ClientFrame] = msgspec.msgpack.Decoder(ClientFrame)
server_decoder: msgspec.msgpack.Decoder[ServerFrame] = msgspec.msgpack.Decoder(ServerFrame)

"""What requests are answered with, and the parts of that."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from hubbub.frames.base import MAX_TEXT, Elapsed, Frame, SecretFrame, Wait

# --- parts -----------------------------------------------------------------------------------


class Person(Frame, frozen=True):
    """One person in a roster, however many sessions they have. `sender` stays with the name's."""

    sender: int
    name: str
    state: str = "here"  # here | away | busy | gone: connection lost, may come back | offline
    role: str = "member"  # owner | operator | member
    away: str = ""  # what they said of it


class RoomState(Frame, frozen=True):
    """Where a room stands, and how far one has read it: unread is `count` less `marked`."""

    room: str
    head: int = 0  # the number of its newest event
    first: int = 1  # the oldest number that is still kept
    count: int = 0  # how many messages it has had
    title: str = ""
    private: bool = False
    role: str = "member"  # one's own
    mark: int = 0  # the number up to which one has read
    marked: int = 0  # how many messages the room had had by then
    mentions: int = 0  # unread ones that name oneself
    peer: Person | None = None  # of a conversation of two: the other


class Invitation(Frame, frozen=True):
    """A room that one was invited to and has not entered yet."""

    room: str
    by: str
    title: str = ""


class RoomInfo(Frame, frozen=True):
    """One room of the directory."""

    room: str
    head: int = 0
    members: int = 0  # that are seen to be in it
    title: str = ""
    private: bool = False
    joined: bool = False  # one is in it


class Peer(Frame, frozen=True):
    """One person that can be talked to."""

    name: str
    sender: int
    state: str = "here"  # here | away | busy | gone
    gateway: str = ""
    away: str = ""
    account: bool = False
    address: str = ""  # of the newest session; shown to operators of the cluster alone


class Device(Frame, frozen=True):
    """A place where an account is logged in."""

    device: int
    label: str  # what client it said to be
    made_at: int  # milliseconds since 1970, UTC
    used_at: int
    address: str = ""
    current: bool = False  # the one that asks


class Restriction(Frame, frozen=True):
    """A ban or a mute."""

    kind: str  # ban | mute
    name: str
    by: str
    at: int  # milliseconds since 1970, UTC
    until: int = 0  # likewise; 0: until it is taken back
    text: str = ""


class Hit(Frame, frozen=True):
    """A message that was searched for, with what was said around it, oldest first."""

    room: str
    message: msgspec.Raw
    before: list[msgspec.Raw] = []
    after: list[msgspec.Raw] = []


class AuditEntry(Frame, frozen=True):
    """One act of an operator of the cluster."""

    number: int
    at: int  # milliseconds since 1970, UTC
    by: str
    action: str
    target: str = ""
    text: str = ""


class GatewayInfo(Frame, frozen=True):
    """One gateway as the owner sees it."""

    gateway: str
    sessions: int = 0
    silent_for: Elapsed = 0.0  # seconds since the owner heard of it


# --- answers ---------------------------------------------------------------------------------


class Welcome(SecretFrame, frozen=True):
    """The session is open. `token` resumes it within `resume_within` seconds of a cut."""

    ref: int
    session: int
    sender: int
    name: str
    token: str
    epoch: int  # which numbering the cluster's rooms are in
    gateway: str = ""
    version: str = ""
    resume_within: Elapsed = 60.0  # seconds
    max_text: int = MAX_TEXT  # characters
    rooms: list[RoomState] = []  # those that the session is in
    account: bool = False  # False: a guest
    operator: bool = False  # of the cluster
    device: str = ""  # after a password: logs in again from here. A secret
    blocked: list[int] = []  # senders that one has blocked
    invitations: list[Invitation] = []


class Granted(SecretFrame, frozen=True):
    """The account is yours, and `device` logs in again from here. A secret."""

    ref: int
    name: str
    sender: int
    device: str


class Ok(Frame, frozen=True):
    """Done, and stored where there was something to store."""

    ref: int
    room: str = ""
    seq: int = 0  # the number of the entry; 0: none was needed, or it was so already
    at: int = 0  # milliseconds since 1970, UTC


class Error(Frame, frozen=True):
    """Not done. Without `ref` it is about the connection, which then closes."""

    code: str
    text: str
    ref: int | None = None
    retry_after: Wait | None = None  # seconds
    epoch: int = 0  # with `epoch_changed`: today's
    head: int = 0  # with `epoch_changed`: today's
    room: str = ""  # with `epoch_changed` to `resume`: whose cursor is above its head


class Roster(Frame, frozen=True):
    """A room and who is in it: the answer to `join` and `members`."""

    ref: int
    room: str
    head: int
    first: int = 1
    count: int = 0
    epoch: int = 0
    members: list[Person] = []
    title: str = ""
    private: bool = False
    role: str = "member"  # one's own
    mark: int = 0  # as in `roomstate`
    marked: int = 0
    mentions: int = 0
    peer: Person | None = None


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


class Found(Frame, frozen=True):
    """The answer to `search`. `more`: ask again with `before` = `next` for older ones."""

    ref: int
    hits: list[Hit]
    more: bool = False
    next: int = 0


class RoomList(Frame, frozen=True):
    """The answer to `rooms`. `more`: ask again with `after` = the last name."""

    ref: int
    rooms: list[RoomInfo]
    more: bool = False


class States(Frame, frozen=True):
    """The answer to `unread`: every room that one is in."""

    ref: int
    rooms: list[RoomState]


class PeerList(Frame, frozen=True):
    """The answer to `peers`. `more`: ask again with `after` = the last name."""

    ref: int
    peers: list[Peer]
    more: bool = False


class DeviceList(Frame, frozen=True):
    """The answer to `devices`."""

    ref: int
    devices: list[Device]


class RestrictionList(Frame, frozen=True):
    """The answer to `restrictions`."""

    ref: int
    room: str
    restrictions: list[Restriction]


class AuditLog(Frame, frozen=True):
    """The answer to `audit`, the newest first."""

    ref: int
    entries: list[AuditEntry]
    more: bool = False


class Report(Frame, frozen=True):
    """The answer to `status`."""

    ref: int
    owner: str  # the active worker
    term: int
    position: int  # of the stream
    epoch: int
    uptime: Elapsed  # seconds since the owner took over
    rooms: int = 0
    sessions: int = 0
    events: int = 0  # stored since the database was made
    brokers: int = 0  # that the owner reaches
    gateways: list[GatewayInfo] = []
    version: str = ""
    accounts: int = 0


class Pong(Frame, frozen=True):
    """The answer to `ping`."""

    ref: int


Reply: TypeAlias = (
    Welcome
    | Granted
    | Ok
    | Error
    | Roster
    | Page
    | Found
    | RoomList
    | States
    | PeerList
    | DeviceList
    | RestrictionList
    | AuditLog
    | Report
    | Pong
)

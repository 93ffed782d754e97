"""What clients ask for. Each is answered by one frame that repeats its `ref`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from hubbub.frames.base import (
    MAX_CONTEXT,
    MAX_HITS,
    MAX_RESUMED_ROOMS,
    PROTOCOL,
    Agent,
    Frame,
    Id,
    Limit,
    Name,
    Password,
    Query,
    Reaction,
    Reason,
    Ref,
    RoomName,
    Seconds,
    SecretFrame,
    Seq,
    Text,
    Title,
    Token,
)
from hubbub.frames.operating import Announce, Audit, Close, Promote, Rename, Suspend

# --- sessions --------------------------------------------------------------------------------


class Hello(Frame, frozen=True):
    """Begin a session as a guest. Answered by `welcome`."""

    ref: Ref
    id: Id
    name: Name | None = None  # None: a fresh guest name is given
    visible: bool = True  # False: nobody sees this session enter, leave or be there
    agent: Agent = ""
    protocol: int = PROTOCOL


class Login(SecretFrame, frozen=True):
    """Begin a session of an account, by its name and password or by a device's token alone.

    Answered by `welcome`; after a password it carries a new `device` token for next time.
    With a password, `token` may be that of an earlier login from here: guesses made by
    strangers then do not delay it.
    """

    ref: Ref
    id: Id
    name: Name | None = None
    password: Password = ""
    token: Token | None = None
    visible: bool = True
    agent: Agent = ""
    protocol: int = PROTOCOL


class Resume(SecretFrame, frozen=True):
    """Continue a session after its connection was lost. Answered by `welcome`.

    Rooms whose `rooms` cursor is below the head are `behind`: page `history` from the cursor.
    A room without a cursor goes on from its head.
    """

    ref: Ref
    id: Id
    token: Token
    epoch: int = 0  # the numbering that the cursors belong to
    rooms: Annotated[dict[RoomName, Seq], Meta(max_length=MAX_RESUMED_ROOMS)] = {}
    agent: Agent = ""


class Bye(Frame, frozen=True):
    """End the session. Answered by `ok`, then closed.

    A guest leaves its rooms and its name is free; an account stays in its rooms.
    """

    ref: Ref
    id: Id
    text: Reason = ""


# --- accounts --------------------------------------------------------------------------------


class Register(SecretFrame, frozen=True):
    """Make an account of the guest that asks; it keeps its name, its rooms and its `sender`.

    Answered by `granted` with the token of this device.
    """

    ref: Ref
    id: Id
    password: Password


class Passwd(SecretFrame, frozen=True):
    """Change one's password. Answered by `granted` with a new token for this device.

    Every other session of the account ends, and every other device is forgotten.
    """

    ref: Ref
    id: Id
    old: Password
    new: Password


class Unregister(SecretFrame, frozen=True):
    """Delete one's account: its rooms are left, its sessions end. Answered by `ok`, then closed.

    What was said stays. The name is kept from others for 30 days.
    """

    ref: Ref
    id: Id
    password: Password


class Devices(Frame, frozen=True):
    """Where one's account is logged in. Answered by `devicelist`."""

    ref: Ref


class Revoke(Frame, frozen=True):
    """Forget a device and end its sessions. Answered by `ok`; of the one in use, then closed."""

    ref: Ref
    id: Id
    device: int = 0  # 0: the one in use


class Block(Frame, frozen=True):
    """Take no private messages and invitations of somebody any more, or again. Answered by `ok`."""

    ref: Ref
    id: Id
    name: Name
    on: bool = True


class Nick(Frame, frozen=True):
    """Take another name. Answered by `ok`; every room one is seen in gets a `renamed` event.

    So does a conversation of two that one has left, while the other one is in it.
    """

    ref: Ref
    id: Id
    name: Name


class Away(Frame, frozen=True):
    """Say how one is, on this session. Answered by `ok`, and told as `presence`."""

    ref: Ref
    id: Id
    state: Annotated[str, Meta(pattern=r"\A(here|away|busy)\Z")] = "away"
    text: Reason = ""


# --- in and out of rooms ---------------------------------------------------------------------


class Join(Frame, frozen=True):
    """Enter a room; one that does not exist is made. Answered by `roster`; what follows is live.

    With `since` (and its `epoch`) the reader already has everything up to that number: if the
    head is above it, `behind` follows and the gap is paged with `history`. `@NAME` is the
    conversation with that person. A room that an account makes, or finds empty, is owned by it.
    """

    ref: Ref
    id: Id
    room: RoomName
    since: Seq | None = None
    epoch: int = 0
    private: bool = False  # of a room that is made: only who is invited may enter


class Leave(Frame, frozen=True):
    """Leave a room. Answered by `ok`, also when one was not in it.

    When its last owner leaves, a room passes to its first operator, else to its first account; a
    private room that its last member leaves, with nobody invited, is closed.
    """

    ref: Ref
    id: Id
    room: RoomName


class Topic(Frame, frozen=True):
    """Give a room another title. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    text: Title


class Visibility(Frame, frozen=True):
    """Make a room private, or public. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    private: bool


class Invite(Frame, frozen=True):
    """Ask somebody in; it opens a private room to them. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    name: Name


class Kick(Frame, frozen=True):
    """Put somebody out of a room. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    name: Name
    text: Reason = ""


class Ban(Frame, frozen=True):
    """Put somebody out of a room and keep them out. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    name: Name
    text: Reason = ""
    seconds: Seconds = 0


class Unban(Frame, frozen=True):
    """Let somebody in again. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    name: Name


class Mute(Frame, frozen=True):
    """Let somebody read but not write in a room, or write again. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    name: Name
    text: Reason = ""
    seconds: Seconds = 0
    on: bool = True


class Role(Frame, frozen=True):
    """Make a member of a room its owner, an operator, or a plain member. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    name: Name
    role: Annotated[str, Meta(pattern=r"\A(owner|operator|member)\Z")]


class Restrictions(Frame, frozen=True):
    """Who is banned from a room or muted in it. Answered by `restrictionlist`."""

    ref: Ref
    room: RoomName


# --- talking ---------------------------------------------------------------------------------


class Say(Frame, frozen=True):
    """Post `text` in a room that one has joined. Answered by `ok` with the number, once stored.

    To `@NAME` without joining anything: it is there when they come.
    """

    ref: Ref
    id: Id
    room: RoomName
    text: Text
    action: bool = False  # "/me": shown as "* Name text"
    reply: Seq = 0  # the number of the message that this answers; 0: none


class Edit(Frame, frozen=True):
    """Give a message of one's own another text. Answered by `ok` with the number of the event."""

    ref: Ref
    id: Id
    room: RoomName
    seq: Seq
    text: Text


class Delete(Frame, frozen=True):
    """Take the text of a message away. Answered by `ok` with the number of the event."""

    ref: Ref
    id: Id
    room: RoomName
    seq: Seq
    text: Reason = ""


class React(Frame, frozen=True):
    """React to a message, or take that back. Answered by `ok`."""

    ref: Ref
    id: Id
    room: RoomName
    seq: Seq
    reaction: Reaction
    on: bool = True


class Typing(Frame, frozen=True):
    """One is writing in a room. Answered by `ok`; may be lost on its way to others."""

    ref: Ref
    room: RoomName


class Read(Frame, frozen=True):
    """One has read a room up to a number. Answered by `ok`; a mark never moves back."""

    ref: Ref
    room: RoomName
    seq: Seq


# --- looking ---------------------------------------------------------------------------------


class History(Frame, frozen=True):
    """Events of a room by number. Answered by `page`.

    `after`: those above it, oldest first. `before`: the last ones below it, also oldest first.
    Neither: the newest. A page asked for with `after` that reaches the head ends a `behind`.
    """

    ref: Ref
    room: RoomName
    after: Seq | None = None
    before: Seq | None = None
    limit: Limit = 100
    epoch: int = 0  # 0: whatever numbering there is


class Search(Frame, frozen=True):
    """Messages by their words, the best first. Answered by `found`.

    `text` holds words that must all be there, "phrases in quotes", and filters: `from:NAME`,
    `in:ROOM`, `before:2026-01-31` (before that day began), `after:2026-01-31` (after it was over;
    days are UTC's). A `*` at the end of a word stands for any ending, a `-` in front for what must
    not be there. Only rooms that one may read are searched. An answer with `more` may have no
    hits: go on.
    """

    ref: Ref
    text: Query
    limit: Annotated[int, Meta(ge=1, le=MAX_HITS)] = 20
    context: Annotated[int, Meta(ge=0, le=MAX_CONTEXT)] = 0  # messages on each side
    before: int = 0  # goes on where an answer with `more` ended: its `next`


class Members(Frame, frozen=True):
    """Who is in a room. Answered by `roster`."""

    ref: Ref
    room: RoomName
    offline: bool = False  # True: accounts that are in the room but not here, too


class Rooms(Frame, frozen=True):
    """The rooms that one may see, in the order of their names. Answered by `roomlist`."""

    ref: Ref
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Limit = 100
    search: Annotated[str, Meta(max_length=64, description="stands in the name or the title")] = ""


class Unread(Frame, frozen=True):
    """The rooms that one is in, and how far one has read them. Answered by `states`."""

    ref: Ref


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


ClientFrame: TypeAlias = (
    Hello
    | Login
    | Resume
    | Bye
    | Register
    | Passwd
    | Unregister
    | Devices
    | Revoke
    | Block
    | Nick
    | Away
    | Join
    | Leave
    | Topic
    | Visibility
    | Invite
    | Kick
    | Ban
    | Unban
    | Mute
    | Role
    | Restrictions
    | Say
    | Edit
    | Delete
    | React
    | Typing
    | Read
    | History
    | Search
    | Members
    | Rooms
    | Unread
    | Peers
    | Status
    | Ping
    | Promote
    | Suspend
    | Rename
    | Close
    | Announce
    | Audit
)

"""What clients are told unasked."""

from __future__ import annotations

from typing import TypeAlias

from hubbub.frames.answers import Person
from hubbub.frames.base import Frame, Wait


class Message(Frame, frozen=True):
    """Something said in a room; one's own too, in its numbered place.

    In history an edited message has its newest text, and a deleted one has none.
    """

    room: str
    seq: int
    sender: int
    name: str
    text: str
    at: int  # milliseconds since 1970, UTC
    count: int = 0  # messages the room has had, this one included
    action: bool = False
    reply: int = 0  # the number of the message that this answers
    mentions: list[int] = []  # senders of the members that `text` names as @NAME
    edited: int = 0  # the number of the event that gave it this text
    deleted: int = 0  # the number of the event that took its text away


class Event(Frame, frozen=True):
    """Another entry of the room's log: `name` did something.

    | `kind` | what | its fields |
    |---|---|---|
    | `renamed` | `name` goes by another name | `to`, `whom` |
    | `joined`, `parted` | an account has become a member, or is one no longer | |
    | `topic` | the room has another title | `text` |
    | `private`, `public` | the room can be entered by invitation alone, or by all | |
    | `invited` | somebody was asked in | `to`, `whom` |
    | `kicked`, `banned` | somebody was put out | `to`, `whom`, `text`, `until` |
    | `unbanned` | somebody is let in again | `to`, `whom` |
    | `muted`, `unmuted` | somebody may not write, or may again | `to`, `whom`, `text`, `until` |
    | `role` | somebody has another role | `to`, `whom`, `text`: the role |
    | `edited` | message `of` has another text | `of`, `text`, `mentions` |
    | `deleted` | message `of` has no text any more | `of`, `text`: why |
    | `reacted`, `unreacted` | to message `of` | `of`, `text`: the reaction |
    | `closed` | the room is no more | `text`: why |

    Kinds that one does not know are to be ignored, but counted.
    """

    room: str
    seq: int
    kind: str
    sender: int
    name: str
    at: int
    count: int = 0
    to: str = ""  # a name
    whom: int = 0  # its sender
    of: int = 0  # the number of a message
    text: str = ""
    until: int = 0  # milliseconds since 1970, UTC; 0: until it is taken back
    mentions: list[int] = []


# What a `presence` says is why, when an entry of the log tells of it, too.
TOLD_BY_EVENT = frozenset({"joined", "parted", "kicked", "banned", "closed"})


class Presence(Frame, frozen=True):
    """Somebody's presence in a room changed; not in its log, so without a number.

    `change`: entered, left, or state (the new `state` is all there is to tell). A member that
    came or went for good is told of by an `event`, too: then `why` is `joined`, `parted`,
    `kicked`, `banned` or `closed`. Otherwise it is a text for people: what the one who left said
    in `bye`, or how the session ended.
    """

    room: str
    sender: int
    name: str
    change: str
    state: str = "here"
    at: int = 0
    why: str = ""
    role: str = "member"
    away: str = ""


class Joined(Frame, frozen=True):
    """One is in a room now, by what was done on another device or by somebody who wrote.

    What follows is live, from `head` on.
    """

    room: str
    head: int = 0
    first: int = 1
    count: int = 0
    epoch: int = 0
    members: list[Person] = []
    title: str = ""
    private: bool = False
    role: str = "member"
    mark: int = 0
    marked: int = 0
    mentions: int = 0
    peer: Person | None = None


class Parted(Frame, frozen=True):
    """One is in a room no longer. `why`: parted (elsewhere, by oneself), kicked, banned, closed."""

    room: str
    why: str = "parted"
    by: str = ""
    text: str = ""


class Marked(Frame, frozen=True):
    """One's read mark in a room, moved on any of one's devices."""

    room: str
    mark: int
    marked: int = 0
    mentions: int = 0


class Invited(Frame, frozen=True):
    """Somebody asks one into a room."""

    room: str
    by: str
    title: str = ""


class Typists(Frame, frozen=True):
    """Somebody is writing in a room, as of now; good for some five seconds."""

    room: str
    sender: int
    name: str


class Announcement(Frame, frozen=True):
    """An operator of the cluster tells everybody something."""

    text: str
    by: str
    at: int


class Behind(Frame, frozen=True):
    """This connection is not shown the room's events from `next` on: page `history` after it."""

    room: str
    next: int
    head: int = 0
    epoch: int = 0


class Moving(Frame, frozen=True):
    """This gateway is closing: resume elsewhere, any time within `within` seconds."""

    within: Wait = 2.0


class Beat(Frame, frozen=True):
    """Still here: while the answer to a `hello` or `resume` takes longer than a moment, each
    second while any answer is late, and after a while with nothing to say.
    """


News: TypeAlias = (
    Message
    | Event
    | Presence
    | Joined
    | Parted
    | Marked
    | Invited
    | Typists
    | Announcement
    | Behind
    | Moving
    | Beat
)

"""One room that a client is in: how far it is, who is there, what one has read. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hubbub.client_direct import is_direct
from hubbub.frames import Event, Joined, Marked, Message, Person, Presence, RoomState, Roster
from hubbub.names import name_key

# What puts a person out of a room, or in anew: they are plain members when they come back.
_AFRESH = frozenset({"joined", "parted", "kicked", "banned"})


class RoomView(msgspec.Struct, frozen=True):
    """What a client knows of a room it is in. `unread`: messages above one's read mark."""

    room: str
    title: str = ""
    private: bool = False
    role: str = "member"  # one's own: owner, operator or member
    unread: int = 0
    mentions: int = 0  # unread ones that name oneself
    head: int = 0  # the number of its newest event
    mark: int = 0  # the number up to which one has read
    peer: Person | None = None  # of a conversation of two: the other
    members: list[Person] = []  # who is there


class Room:
    """One joined room.

    Attributes:
        name: as on the wire.
        cursor: the highest number up to which the queue was given everything; -1: not known.
        seen: the highest number that is known to exist.
        shown: the highest number that the application was given.
        live: what arrives follows on the cursor; otherwise it is paged.
        stale: presence may have been missed.
        known: `roster` was told by the server once; before that nobody is missed in it.
        joined: the application asked for it; otherwise one is in it by the server's doing.
        leaving: the application asked to leave, and there is no answer yet.
        entry: the id of the `join` by which the client goes back into it, until it is answered.
    """

    def __init__(self, name: str, cursor: int) -> None:
        self.name = name
        self.key = name_key(name)
        self.cursor = cursor
        self.seen = cursor
        self.shown = cursor
        self.live = True
        self.stale = False
        self.known = False
        self.joined = False
        self.leaving = False
        self.entry = b""
        self._given = range(0)  # numbers that were given out before the cursor went back
        self._entered_at = cursor
        self.barren = 0
        self.roster: dict[int, Person] = {}
        self.title = ""
        self.private = False
        self.role = "member"
        self.count = 0  # messages it has had, up to `cursor` or later
        self.mark = 0
        self.marked = 0  # messages it had had by then
        self.mentions = 0
        self.counted = cursor  # entries up to here are in `mentions` already
        self.peer: Person | None = None

    def view(self, name: str) -> RoomView:
        """What the application is shown of it, under this name."""
        return RoomView(
            name,
            self.title,
            self.private,
            self.role,
            max(0, self.count - self.marked),
            self.mentions,
            max(self.seen, 0),
            self.mark,
            self.peer,
            list(self.roster.values()),
        )

    def people(self, members: Iterable[Person]) -> None:
        """Who is there, as the server told."""
        self.roster = {person.sender: person for person in members}
        self.known = True

    # --- state ---------------------------------------------------------------------------------

    def take_state(self, state: RoomState | Roster | Joined) -> None:
        """Where the room stands, and how far one has read it."""
        self.title, self.private, self.role = state.title, state.private, state.role
        self.count = max(self.count, state.count)
        self.peer = state.peer or self.peer
        if state.head >= self.counted:  # else: it is older than what is known
            self.counted = state.head
            self.take_mark(state.mark, state.marked, state.mentions)

    def take_marked(self, frame: Marked) -> None:
        """The mark moved, on whichever device."""
        self.counted = max(self.counted, self.seen)
        self.take_mark(frame.mark, frame.marked, frame.mentions)

    def take_mark(self, mark: int, marked: int, mentions: int) -> None:
        """One has read up to `mark`. It never moves back: what is older is not looked at."""
        if mark >= self.mark:
            self.mark = mark
            self.marked = max(self.marked, marked)
            self.mentions = mentions

    def go_back(self, since: int) -> None:
        """The application wants what is above `since`, too; what it has had is not given again."""
        if 0 <= since < self.cursor:
            self._given = range(max(self._entered_at, since) + 1, self.cursor + 1)
            self.cursor = since

    def was_given(self, seq: int) -> bool:
        """Whether an entry above the cursor was given out before."""
        return seq in self._given

    def renumber(self) -> None:
        """The numbering is another one: nothing that is a number of the old is true any more."""
        self.cursor = -1  # unknown: the next head is where it goes on
        self._given = range(0)
        self.seen = self.shown = self.counted = 0
        self.count = self.mark = self.marked = self.mentions = 0

    # --- the log -------------------------------------------------------------------------------

    def apply(self, entry: Message | Event, own: set[int]) -> None:
        """What an entry changes, in its place in the log. `own`: one's own numbers."""
        self.count = max(self.count, entry.count)
        if isinstance(entry, Event):
            self._apply_event(entry, own)
        elif entry.sender in own:
            self.take_mark(entry.seq, entry.count, 0)  # who speaks has read
        elif (
            entry.seq > max(self.mark, self.counted)
            and not own.isdisjoint(entry.mentions)
            and not is_direct(self.name)  # where every message is for oneself, none is counted
        ):
            self.mentions += 1
        self.counted = max(self.counted, entry.seq)

    def _apply_event(self, event: Event, own: set[int]) -> None:
        if event.kind == "topic":
            self.title = event.text
        elif event.kind in ("private", "public"):
            self.private = event.kind == "private"
        elif event.kind == "renamed":
            self._replace(event.sender, name=event.to)
        elif event.kind == "role":
            self._set_role(event.whom, event.text, own)
        elif event.kind in _AFRESH:
            self._set_role(event.whom or event.sender, "member", own)

    def _set_role(self, sender: int, role: str, own: set[int]) -> None:
        self._replace(sender, role=role)
        if sender in own:
            self.role = role

    def _replace(self, sender: int, **fields: str) -> None:
        person = self.roster.get(sender)
        if person is not None:
            self.roster[sender] = msgspec.structs.replace(person, **fields)
        if self.peer is not None and self.peer.sender == sender:
            self.peer = msgspec.structs.replace(self.peer, **fields)

    # --- presence ------------------------------------------------------------------------------

    def changes(self, frame: Presence) -> bool:
        """Whether a change of presence says anything new."""
        if not self.known:
            return True
        had = self.roster.get(frame.sender)
        if frame.change == "left":
            return had is not None
        return had != person_of(frame)

    def differences(self, members: Iterable[Person]) -> list[tuple[Person, str]]:
        """Who left, entered or is otherwise in a new roster; nothing when there was none before."""
        if not self.known:
            return []
        now = {person.sender: person for person in members}
        changes = [(had, "left") for sender, had in self.roster.items() if sender not in now]
        for sender, person in now.items():
            had = self.roster.get(sender)
            if had != person:
                changes.append((person, "entered" if had is None else "state"))
        return changes

    def apply_presence(self, frame: Presence) -> None:
        """Somebody came, went or is otherwise."""
        if frame.change == "left":
            self.roster.pop(frame.sender, None)
        else:
            self.roster[frame.sender] = person_of(frame)
        if self.peer is not None and self.peer.sender == frame.sender:
            state = "offline" if frame.change == "left" else frame.state
            self.peer = msgspec.structs.replace(self.peer, state=state, away=frame.away)


def person_of(frame: Presence) -> Person:
    """The person as a change of presence leaves them."""
    return Person(frame.sender, frame.name, frame.state, frame.role, frame.away)


def presence_of(room: str, person: Person, change: str) -> Presence:
    """The change of presence that tells of a person."""
    return Presence(
        room,
        person.sender,
        person.name,
        change,
        person.state,
        role=person.role,
        away=person.away,
    )

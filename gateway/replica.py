"""One gateway's copy of a room: head, roster and what was last said. Pure."""

from __future__ import annotations

import msgspec

from hubbub.frames import Event, Person, Presence, RoomState, Roster
from hubbub.names import name_key
from hubbub.wire import Item, Kind, Snapshot

_presence = msgspec.msgpack.Decoder(Presence)
_event = msgspec.msgpack.Decoder(Event)


class _Count(msgspec.Struct):
    count: int = 0


_count = msgspec.msgpack.Decoder(_Count)


class Replica:
    """A room as it stands after the items applied so far: exact, since none is left out."""

    __slots__ = ("_count", "_last", "first", "head", "id", "key", "name", "roster")

    def __init__(self, snapshot: Snapshot) -> None:
        self.id = snapshot.room_id
        self.name = snapshot.room
        self.key = name_key(snapshot.room)
        self.head = snapshot.head
        self.first = snapshot.first
        self.roster = {person.sender: person for person in snapshot.roster}
        self._count = snapshot.count
        self._last: bytes | None = None  # the newest numbered body; read only when asked for

    @property
    def count(self) -> int:
        """How many messages the room has had."""
        if self._last is not None:
            self._count = _count.decode(self._last).count
            self._last = None
        return self._count

    def apply(self, item: Item) -> bool:
        """Move on by one item; False when it is already in here, and not to be shown again.

        A numbered item must be the next one: `is_next` says so.
        """
        kind, _, seq, _, body = item
        if kind == Kind.PRESENCE:
            self._apply_presence(body)
            return True
        if seq <= self.head:
            return False
        self.head = seq
        self._last = body
        if kind == Kind.EVENT:
            self._apply_event(body)
        return True

    def is_next(self, item: Item) -> bool:
        """False when numbers are missing between the head and this item."""
        return item.seq <= self.head + 1

    def state(self) -> RoomState:
        """Where the room stands, as a `welcome` tells it."""
        return RoomState(self.name, self.head, self.first, self.count)

    def roster_frame(self, ref: int, epoch: int) -> Roster:
        """The room and who is in it, as it is now."""
        people = list(self.roster.values())
        return Roster(ref, self.name, self.head, self.first, self.count, epoch, people)

    def take_over(self, snapshot: Snapshot, at: int) -> list[Presence]:
        """Adopt the roster of a later snapshot; what has changed is returned, to be shown.

        The head stays: what lies between is to be fetched from the log.
        """
        new = {person.sender: person for person in snapshot.roster}
        changes = []
        for sender, person in self.roster.items():
            if sender not in new:
                changes.append(self._change(person, "left", at))
        for sender, person in new.items():
            known = self.roster.get(sender)
            if known is None:
                changes.append(self._change(person, "entered", at))
            elif known.state != person.state:
                changes.append(self._change(person, "state", at))
        self.roster = new
        self.first = snapshot.first
        return changes

    # --- inside ---------------------------------------------------------------------------

    def _change(self, person: Person, change: str, at: int) -> Presence:
        return Presence(self.name, person.sender, person.name, change, person.state, at)

    def _apply_presence(self, body: bytes) -> None:
        presence = _presence.decode(body)
        sender = presence.sender
        if presence.change == "left":
            self.roster.pop(sender, None)
        elif presence.change == "entered" or sender in self.roster:
            self.roster[sender] = Person(sender, presence.name, presence.state)

    def _apply_event(self, body: bytes) -> None:
        event = _event.decode(body)
        person = self.roster.get(event.sender)
        if event.kind == "renamed" and person is not None:
            self.roster[event.sender] = Person(event.sender, event.to, person.state)

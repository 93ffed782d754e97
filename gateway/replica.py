"""One gateway's copy of a room: head, roster and what was last said. Pure."""

from __future__ import annotations

import msgspec

from hubbub.frames import Event, Joined, Person, Presence, RoomState, Roster
from hubbub.names import DIRECT, name_key
from hubbub.wire import Entry, Item, Kind, Snapshot

OFFLINE = "offline"  # the state of members that are not here
MEMBER = "member"  # the role that everybody has who has no other

_presence = msgspec.msgpack.Decoder(Presence)
_event = msgspec.msgpack.Decoder(Event)
_replace = msgspec.structs.replace


class _Count(msgspec.Struct):
    count: int = 0


_count = msgspec.msgpack.Decoder(_Count)


class Replica:
    """A room as it stands after the items applied so far: exact, since none is left out.

    `roster` holds who is here, by sender; `pair` both people of a conversation of two, here or not.
    """

    __slots__ = (
        "_count",
        "_last",
        "as_of",
        "closed",
        "first",
        "head",
        "id",
        "key",
        "name",
        "pair",
        "private",
        "roster",
        "title",
    )

    def __init__(self, snapshot: Snapshot) -> None:
        self.id = snapshot.room_id
        self.name = snapshot.room
        self.key = name_key(snapshot.room)
        self.head = snapshot.head
        self.first = snapshot.first
        self.title = snapshot.title
        self.private = snapshot.private
        self.roster = {person.sender: person for person in snapshot.roster}
        self.pair = {person.sender: person for person in snapshot.pair}
        self.as_of = snapshot.head  # what the log says up to here is in roster and title already
        self.closed = False  # it is no more; another room may have its name by now
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
        if kind == Kind.EVENT and seq > self.as_of:
            self._apply_event(_event.decode(body))
        return True

    def is_next(self, item: Item) -> bool:
        """False when numbers are missing between the head and this item."""
        return item.seq <= self.head + 1

    # --- what is told of it ---------------------------------------------------------------

    def peer(self, sender: int) -> Person | None:
        """Of a conversation of two: the one whom `sender` talks to."""
        others = [person for number, person in self.pair.items() if number != sender]
        return others[0] if others else self.pair.get(sender)

    def is_called(self, key: str, sender: int) -> bool:
        """Whether `sender` may mean this room by a name with that key: of two, also `@NAME`."""
        if key == self.key:
            return True
        peer = self.peer(sender) if key.startswith(DIRECT) else None
        return peer is not None and key == name_key(DIRECT + peer.name)

    def state(self, own: RoomState) -> RoomState:
        """Where the room stands now; what is personal is taken from `own`, of a moment ago."""
        return _replace(
            own,
            room=self.name,
            head=self.head,
            first=self.first,
            count=self.count,
            title=self.title,
            private=self.private,
        )

    def roster_frame(self, reply: Roster, ref: int, sender: int) -> Roster:
        """The owner's answer brought up to now; what is personal stays.

        Members who are not here are only in the owner's answer. One's own role is as true here,
        and newer.
        """
        own = self.roster.get(sender)
        away = [one for one in reply.members if one.state == OFFLINE]
        return _replace(
            reply,
            ref=ref,
            room=self.name,
            head=self.head,
            first=self.first,
            count=self.count,
            title=self.title,
            private=self.private,
            members=[*self.roster.values(), *(p for p in away if p.sender not in self.roster)],
            role=reply.role if own is None else own.role,
        )

    def joined_frame(self, entry: Entry, epoch: int, sender: int, *, is_exact: bool) -> Joined:
        """What `sender` is told who is in the room by other means than a join of this connection.

        Numbers are those of `entry`: what follows them is still to be shown. `is_exact`: this
        copy's roster holds all that was delivered.
        """
        snapshot, own = entry.snapshot, entry.own
        return Joined(
            room=self.name,
            head=snapshot.head,
            first=snapshot.first,
            count=snapshot.count,
            epoch=epoch,
            members=list(self.roster.values()) if is_exact else snapshot.roster,
            title=snapshot.title,
            private=snapshot.private,
            role=own.role,
            mark=own.mark,
            marked=own.marked,
            mentions=own.mentions,
            peer=own.peer or self.peer(sender),
        )

    # --- after a sync ---------------------------------------------------------------------

    def take_over(self, snapshot: Snapshot, at: int) -> list[Presence]:
        """Adopt the roster of a later snapshot; what has changed is returned, to be shown.

        The head stays: what lies between is to be fetched from the log, and tells of all else.
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
            elif (known.state, known.role, known.away) != (person.state, person.role, person.away):
                changes.append(self._change(person, "state", at))
        self.roster = new
        self.as_of = snapshot.head
        self.pair = {person.sender: person for person in snapshot.pair}
        self.first = snapshot.first
        self.title = snapshot.title
        self.private = snapshot.private
        return changes

    # --- inside ---------------------------------------------------------------------------

    def _change(self, person: Person, change: str, at: int) -> Presence:
        return Presence(
            self.name,
            person.sender,
            person.name,
            change,
            person.state,
            at,
            role=person.role,
            away=person.away,
        )

    def _apply_presence(self, body: bytes) -> None:
        presence = _presence.decode(body)
        sender = presence.sender
        person = Person(sender, presence.name, presence.state, presence.role, presence.away)
        if presence.change == "left":
            self.roster.pop(sender, None)
            person = Person(sender, presence.name, OFFLINE)
        elif presence.change == "entered" or sender in self.roster:
            self.roster[sender] = person
        if sender in self.pair:
            self.pair[sender] = person

    def _apply_event(self, event: Event) -> None:
        match event.kind:
            case "renamed":
                for people in (self.roster, self.pair):
                    if (person := people.get(event.sender)) is not None:
                        people[event.sender] = _replace(person, name=event.to)
            case "topic":
                self.title = event.text
            case "private" | "public":
                self.private = event.kind == "private"
            case "role":
                self._set_role(event.whom, event.text)
            case "joined" | "parted":
                self._set_role(event.sender, MEMBER)
            case "kicked" | "banned":
                self._set_role(event.whom, MEMBER)
            case "closed":
                self.closed = True

    def _set_role(self, sender: int, role: str) -> None:
        person = self.roster.get(sender)
        if person is not None and person.role != role:
            self.roster[sender] = _replace(person, role=role)

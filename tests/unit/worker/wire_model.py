"""What a gateway makes of the stream, in small: rosters, heads, and which connection is where."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from hubbub import frames
from hubbub.frames import Event, Marked, Parted, Presence, Welcome
from hubbub.wire import Entry, Item, Kind, Snapshot
from tests.unit.worker.world import Person

_entry = msgspec.msgpack.Decoder(Entry)
_replace = msgspec.structs.replace


@dataclass
class Followed:
    """A room as the stream tells of it."""

    head: int = 0
    count: int = 0
    title: str = ""
    private: bool | None = None  # nobody has told yet
    roster: dict[int, frames.Person] = field(default_factory=dict)


@dataclass
class Connection:
    """A connection with its session."""

    session: int
    sender: int
    generation: int
    gateway: str
    rooms: set[int] = field(default_factory=set)


class Wire:
    """All gateways together."""

    def __init__(self) -> None:
        self.rooms: dict[int, Followed] = {}
        self.ids: dict[str, int] = {}
        self.connections: dict[int, Connection] = {}
        self.marks: dict[tuple[int, int], int] = {}

    def apply(self, item: Item) -> None:
        """One item of the stream, in its place."""
        room = self.rooms.setdefault(item.room, Followed())
        if item.kind in (Kind.MESSAGE, Kind.EVENT):
            self._number(room, item)
        elif item.kind == Kind.PRESENCE:
            self._presence(room, item)
        elif item.kind == Kind.MEMBER_IN:
            self._member_in(room, item)
        elif item.kind == Kind.MEMBER_OUT:
            assert isinstance(frames.server_decoder.decode(item.body), Parted)
            for each in self._of(item.sender):
                each.rooms.discard(item.room)
        elif item.kind == Kind.SESSION_OVER:
            connection = self.connections.get(item.sender)
            if connection is not None and connection.generation < item.seq:
                del self.connections[item.sender]
        elif item.kind == Kind.PERSONAL:
            self._personal(item)

    def _of(self, sender: int) -> list[Connection]:
        return [each for each in self.connections.values() if each.sender == sender]

    def _number(self, room: Followed, item: Item) -> None:
        frame = frames.server_decoder.decode(item.body)
        assert isinstance(frame, frames.Message | Event)
        assert item.seq == frame.seq == room.head + 1
        assert frame.count == room.count + (item.kind == Kind.MESSAGE)
        room.head, room.count = frame.seq, frame.count
        self.ids[frame.room] = item.room
        if not isinstance(frame, Event):
            return
        match frame.kind:
            case "renamed":
                self._change(room, frame.sender, name=frame.to)
            case "topic":
                room.title = frame.text
            case "private" | "public":
                room.private = frame.kind == "private"
            case "role":
                self._change(room, frame.whom, role=frame.text)
            case "joined" | "parted":
                self._change(room, frame.sender, role="member")
            case "kicked" | "banned":
                self._change(room, frame.whom, role="member")

    def _change(self, room: Followed, sender: int, **more: str) -> None:
        if sender in room.roster:
            room.roster[sender] = _replace(room.roster[sender], **more)

    def _presence(self, room: Followed, item: Item) -> None:
        told = frames.server_decoder.decode(item.body)
        assert isinstance(told, Presence)
        assert told.sender == item.sender
        assert (told.change == "entered") == (told.sender not in room.roster)
        self.ids[told.room] = item.room
        if told.change == "left":
            del room.roster[told.sender]
        else:
            person = frames.Person(told.sender, told.name, told.state, told.role, told.away)
            room.roster[told.sender] = person

    def _member_in(self, room: Followed, item: Item) -> None:
        entered = _entry.decode(item.body)
        self.check(item.room, entered.snapshot)
        assert (entered.own.mark, entered.own.marked) == (room.head, room.count)
        assert entered.own.mentions == 0
        for each in self._of(item.sender):
            if each.session != item.seq:
                each.rooms.add(item.room)

    def check(self, id: int, snapshot: Snapshot) -> None:
        """A snapshot is what whoever has followed the room knows by then."""
        self.ids[snapshot.room] = id
        room = self.rooms.setdefault(id, Followed())
        if room.private is None:
            room.private = snapshot.private  # it was made so
        assert (snapshot.room_id, snapshot.head, snapshot.count) == (id, room.head, room.count)
        assert (snapshot.title, snapshot.private) == (room.title, room.private)
        assert {each.sender: each for each in snapshot.roster} == room.roster

    def _personal(self, item: Item) -> None:
        frame = frames.server_decoder.decode(item.body)
        if isinstance(frame, Marked):
            key = item.sender, self.ids[frame.room]
            assert frame.mark > self.marks.get(key, -1)
            self.marks[key] = frame.mark

    def welcome(self, person: Person, welcome: Welcome) -> None:
        """A connection has its session."""
        rooms = {self.ids[state.room] for state in welcome.rooms}
        self.connections[person.session] = Connection(
            person.session, person.sender, person.generation, person.gateway, rooms
        )

    def joined(self, person: Person, room: int, name: str) -> None:
        """The answer to a join lets that connection in."""
        self.ids[name] = room
        connection = self.connections.get(person.session)
        if connection is not None and connection.generation == person.generation:
            connection.rooms.add(room)

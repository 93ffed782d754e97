"""Who has a session here, and what the stream has for one person instead of for a room."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import partial

import msgspec

from gateway.connection import Connection
from gateway.rooms import Room, Rooms
from gateway.session import Session
from gateway.stream import Place
from hubbub.errors import Code
from hubbub.frames import Leave, Parted, encoder
from hubbub.names import name_key
from hubbub.wire import Ending, Entry, Item, Kind, Synced

_entry = msgspec.msgpack.Decoder(Entry)
_ending = msgspec.msgpack.Decoder(Ending)
_REPLACED = (Code.REPLACED, "the session goes on elsewhere, or has ended")


class People:
    """The connections that have a session, by session and by person.

    What comes for a person goes to each of their connections here, so an item costs as much as they
    have of those, and nothing when they have none.

    Args:
        rooms: who is where.
    """

    def __init__(self, rooms: Rooms) -> None:
        self.sessions: dict[int, Connection] = {}
        # Tuples, since most people have one connection, and memory counts per connection.
        self._of: dict[int, tuple[Connection, ...]] = {}
        self._rooms = rooms
        rooms.move = self._move

    def of(self, sender: int) -> tuple[Connection, ...]:
        """The connections of one person."""
        return self._of.get(sender, ())

    def add(self, connection: Connection, session: Session) -> None:
        """A connection has a session from now on, which no other one here has."""
        connection.session = session
        self.sessions[session.number] = connection
        self._of[session.sender] = (*self.of(session.sender), connection)

    def remove(self, connection: Connection) -> Session | None:
        """A connection takes part no more: out of its rooms; its session, if it had one."""
        self._leave_all(connection)
        session = connection.session
        if session is None or self.sessions.get(session.number) is not connection:
            return None
        del self.sessions[session.number]
        rest = tuple(one for one in self.of(session.sender) if one is not connection)
        if rest:
            self._of[session.sender] = rest
        else:
            del self._of[session.sender]
        return session

    # --- what comes from the stream -------------------------------------------------------

    def apply(self, item: Item) -> None:
        """Carry out one item that belongs to no room's log, in its place between those that do."""
        kind = item.kind
        if kind in (Kind.MEMBER_IN, Kind.MEMBER_OUT):
            if not self._rooms.hold(item):
                self._move(item)
        elif kind == Kind.PERSONAL:
            self._personal(item)
        elif kind == Kind.ANNOUNCEMENT:
            self._rooms.settle()
            for connection in list(self.sessions.values()):
                connection.push(item.body)
        elif kind in (Kind.SESSION_OVER, Kind.SESSION_RENAMED):
            holder = self.sessions.get(item.sender)
            if holder is not None:
                self._of_session(holder, item)

    def replay(self, connection: Connection, items: Iterable[tuple[Place, Item]]) -> None:
        """Carry out for one connection what was delivered before it had its session."""
        for place, item in items:
            kind = item.kind
            if connection.is_closing:
                return
            if kind == Kind.MEMBER_IN:
                if item.body and item.room not in connection.rooms:
                    self._bring_in(connection, item, place)
            elif kind == Kind.MEMBER_OUT:
                # It was told that it is in, so it has to be told this, whoever asked.
                if (room := connection.rooms.get(item.room)) is not None:
                    self._rooms.leave(connection, room)
                    connection.push(item.body or encoder.encode(Parted(room.name)))
            elif kind in (Kind.PERSONAL, Kind.ANNOUNCEMENT):
                connection.push(item.body)
            elif kind in (Kind.SESSION_OVER, Kind.SESSION_RENAMED):
                self._of_session(connection, item)

    def _move(self, item: Item) -> None:
        """Have somebody come into a room or go out of it, now."""
        if item.kind == Kind.MEMBER_IN:
            self._member_in(item)
        else:
            for connection in self.of(item.sender):
                self._take_out(connection, item)

    def _member_in(self, item: Item) -> None:
        connections = [
            connection
            for connection in self.of(item.sender)
            # Who asked is told by the answer.
            if item.room not in connection.rooms and _number(connection) != item.seq
        ]
        if not connections or not item.body:
            return
        entry = _entry.decode(item.body)
        room = self._rooms.adopt(entry.snapshot)
        for connection in connections:
            self._enter(connection, room, entry)
        self._rooms.drop_if_empty(room)

    def _bring_in(self, connection: Connection, item: Item, place: Place) -> None:
        """The same for an item of a moment ago: the room has moved on since."""
        entry = _entry.decode(item.body)
        followed = self._rooms.follow(entry.snapshot, place.position - 1, skip=place.number + 1)
        room = self._rooms.get(item.room)
        assert followed  # it stands in what is kept
        assert room is not None
        self._enter(connection, room, entry)
        self._rooms.drop_if_empty(room)

    def _enter(self, connection: Connection, room: Room, entry: Entry) -> None:
        room.leavers.finish_one(connection)
        self._rooms.settle_one(room)
        joined = room.joined_frame(
            entry, self._rooms.epoch, _sender(connection), is_exact=room.reading is None
        )
        connection.push(encoder.encode(joined))
        if not connection.is_closing:
            # Where this copy is not as far as the entry, or further, it pages what follows.
            self._rooms.enter(connection, room, entry.snapshot.head)

    def _take_out(self, connection: Connection, item: Item) -> None:
        room = connection.rooms.get(item.room)
        if room is None:
            return
        self._rooms.leave(connection, room)  # what came before is handed over
        if item.body and _number(connection) != item.seq:
            connection.push(item.body)

    def _personal(self, item: Item) -> None:
        connections = self.of(item.sender)
        if not connections:
            return
        room = self._rooms.get(item.room)
        if room is not None:
            self._rooms.settle_one(room)
        for connection in connections:
            connection.push(item.body)

    # --- sessions -------------------------------------------------------------------------

    def _of_session(self, connection: Connection, item: Item) -> None:
        session = connection.session
        assert session is not None
        if item.kind == Kind.SESSION_RENAMED:
            session.name = item.body.decode(errors="replace")
        elif session.is_over_at(item.seq) and session.ending is None:
            session.ending = _ending_of(item.body)
            self.end_if_over(connection)

    def end_if_over(self, connection: Connection) -> None:
        """End a connection whose session is over, once what may have ended it is answered."""
        session = connection.session
        if session is None or session.ending is None or connection.is_closing:
            return
        if session.farewells:
            self._leave_all(connection)  # nothing more of them is for it
        else:
            connection.parted = True
            connection.end(*session.ending)

    def _leave_all(self, connection: Connection) -> None:
        for room in list(connection.rooms.values()):
            self._rooms.leave(connection, room)

    # --- after a sync ---------------------------------------------------------------------

    def synced(self, frame: Synced) -> None:
        """Make sessions, rooms and who is in them what they are with the owner."""
        rooms = self._rooms
        for number in frame.over:
            connection = self.sessions.get(number)
            if connection is not None:
                connection.parted = True
                connection.end(Code.EXPIRED, "the session is over, or goes on elsewhere")
        inside = [
            (connection, dict(own))
            for number, own in frame.inside
            if (connection := self.sessions.get(number)) is not None
        ]
        if rooms.epoch in (0, frame.epoch):
            # First: what has happened in a room since they left it is not for them.
            for connection, own in inside:
                self._part_at_sync(connection, own, frame.unknown_rooms)
            lost = rooms.synced(frame.rooms)
            rooms.finish_leaving()
        else:
            lost = rooms.all()
        rooms.epoch = frame.epoch
        for room in lost:
            self._close_all_of(room)
        snapshots = {snapshot.room_id: snapshot for snapshot in frame.rooms}
        for connection, own in inside:
            for room_id, state in own.items():
                if room_id in snapshots and room_id not in connection.rooms:
                    self._enter_at_sync(connection, Entry(snapshots[room_id], state))

    def _part_at_sync(
        self, connection: Connection, own: Container[int], gone: Container[int]
    ) -> None:
        for room in [room for room in connection.rooms.values() if room.id not in own]:
            if _leaves(connection, partial(room.is_called, sender=_sender(connection))):
                self._rooms.leave(connection, room)
                continue
            why = "closed" if room.id in gone else "parted"
            self._rooms.leave_with_log(connection, room, encoder.encode(Parted(room.name, why)))

    def _enter_at_sync(self, connection: Connection, entry: Entry) -> None:
        """Also when its join is on its way: whatever becomes of the answer, it is in the room."""
        if connection.is_closing:
            return
        room = self._rooms.adopt(entry.snapshot)
        self._enter(connection, room, entry)
        self._rooms.drop_if_empty(room)

    def _close_all_of(self, room: Room) -> None:
        """The numbering is another one now: its people must load the room anew."""
        for connection in [*room.live.values(), *room.behind]:
            connection.end(Code.EPOCH_CHANGED, "the rooms were restored: load them anew")
        self._rooms.forget(room)

    def tell_parted(
        self, connection: Connection, parted: bytes, is_called: Callable[[str], bool]
    ) -> None:
        """Tell a connection that it is out of a room, unless the answer to its `leave` will.

        Args:
            connection: whom.
            parted: the frame.
            is_called: whether the name with a key is one of the room's.
        """
        if not _leaves(connection, is_called):
            connection.push(parted)


def _leaves(connection: Connection, is_called: Callable[[str], bool]) -> bool:
    """Whether a `leave` of that room is on its way, whose answer will tell that one is out."""
    return any(
        isinstance(change.frame, Leave) and is_called(name_key(change.frame.room))
        for change in connection.changes
    )


def _number(connection: Connection) -> int:
    assert connection.session is not None
    return connection.session.number


def _sender(connection: Connection) -> int:
    assert connection.session is not None
    return connection.session.sender


def _ending_of(body: bytes) -> tuple[Code, str]:
    if not body:
        return _REPLACED
    ending = _ending.decode(body)
    try:
        return Code(ending.code), ending.text
    except ValueError:  # of a newer owner
        return Code.EXPIRED, ending.text

"""Into sessions and rooms: answers that were true a moment ago, and what has come since."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gateway.connection import Connection
from gateway.native import State
from gateway.people import People
from gateway.rooms import Room, Rooms
from gateway.session import Session
from gateway.stream import Stream
from hubbub.errors import Code
from hubbub.frames import ClientFrame, Error, Join, Parted, Resume, Roster, Welcome, encoder
from hubbub.names import name_key
from hubbub.wire import Answer, Kind

NO_ANSWER = "the cluster did not answer in time; ask again with the same id"


class Entrance:
    """Acts on the answers that put a connection into rooms, each true at its position.

    Where the stream is not kept back to there, the answer is `unknown`: asked again, the owner
    answers anew.

    Args:
        people: who has a session here.
        rooms: who is where.
        stream: what was delivered after the answer was true.
        log_opened: called when a session has its connection here.
    """

    def __init__(
        self,
        people: People,
        rooms: Rooms,
        stream: Stream,
        log_opened: Callable[[Connection], None],
    ) -> None:
        self._people = people
        self._rooms = rooms
        self._stream = stream
        self._log_opened = log_opened

    def welcome(
        self,
        connection: Connection,
        frame: ClientFrame,
        reply: Welcome,
        answer: Answer,
        position: int,
    ) -> None:
        """Give a connection its session and the rooms of it; then what came for it since."""
        older = self._people.sessions.get(answer.session)
        if older is not None:
            older.parted = True
            older.end(Code.REPLACED, "the session was resumed on another connection")
        later = self._stream.personal(reply.sender, answer.session, position)
        followed = [self._rooms.follow(snapshot, position) for snapshot in answer.rooms]
        if later is None or not all(followed):
            for snapshot in answer.rooms:
                self._rooms.drop_if_empty(self._rooms.get(snapshot.room_id))
            connection.core.state = State.NEW
            connection.answer(Error(Code.UNKNOWN, NO_ANSWER, frame.ref))
            return
        session = Session(answer.session, answer.generation, reply.sender, reply.name)
        self._people.add(connection, session)
        connection.core.state = State.READY
        left = {item.room for _, item in later if item.kind == Kind.MEMBER_OUT}
        rooms = {room.key: room for room in self._followed(answer)}
        states = []
        for state in reply.rooms:
            room = rooms.get(name_key(state.room))
            # What a room has become since one was taken out of it is not for them.
            is_in = room is not None and room.id not in left
            states.append(room.state(state) if room is not None and is_in else state)
        for room in rooms.values():
            self._rooms.settle_one(room)
        connection.answer(replace(reply, ref=frame.ref, rooms=states))
        cursors = {}
        if isinstance(frame, Resume):
            cursors = {name_key(name): cursor for name, cursor in frame.rooms.items()}
        for key, room in rooms.items():
            self._rooms.enter(connection, room, None if room.id in left else cursors.get(key))
        self._log_opened(connection)
        self._people.replay(connection, later)

    def _followed(self, answer: Answer) -> list[Room]:
        found = (self._rooms.get(snapshot.room_id) for snapshot in answer.rooms)
        return [room for room in found if room is not None]

    def roster(self, connection: Connection, reply: Roster, ref: int) -> None:
        """Answer who is in a room."""
        session, room = connection.session, self._rooms.named(reply.room)
        assert session is not None
        if room is None:
            connection.answer(replace(reply, ref=ref))
            return
        self._rooms.settle_one(room)
        # The copy is as true as the answer, and newer.
        connection.answer(room.roster_frame(reply, ref, session.sender))

    def join(
        self,
        connection: Connection,
        frame: Join,
        reply: Roster,
        answer: Answer,
        position: int,
    ) -> None:
        """Enter the room, unless the person was taken out of it after the answer was true."""
        session = connection.session
        assert session is not None
        followed = all(self._rooms.follow(snapshot, position) for snapshot in answer.rooms)
        room = self._rooms.named(reply.room) if followed else None
        later = self._stream.personal(session.sender, session.number, position)
        if room is not None and room.id in connection.rooms:
            self._enter(connection, room, frame, reply)
        elif later is None or (room is None and answer.inside):
            connection.answer(Error(Code.UNKNOWN, NO_ANSWER, frame.ref))
        else:
            outs = [
                item.body
                for _, item in later
                if room is not None and item.kind == Kind.MEMBER_OUT and item.room == room.id
            ]
            if room is not None and answer.inside and not outs:
                self._enter(connection, room, frame, reply)
            else:
                self._stay_out(connection, frame, reply, outs[-1] if outs else b"")
        for one in self._followed(answer):
            self._rooms.drop_if_empty(one)

    def _stay_out(self, connection: Connection, frame: Join, reply: Roster, parted: bytes) -> None:
        """What was true when it was answered is told, and that it is so no longer."""
        connection.answer(replace(reply, ref=frame.ref))
        keys = {name_key(reply.room), name_key(frame.room)}
        parted = parted or encoder.encode(Parted(reply.room))
        self._people.tell_parted(connection, parted, keys.__contains__)

    def _enter(self, connection: Connection, room: Room, frame: Join, reply: Roster) -> None:
        session = connection.session
        assert session is not None
        self._rooms.settle_one(room)
        connection.answer(room.roster_frame(reply, frame.ref, session.sender))
        self._rooms.enter(connection, room, frame.since)

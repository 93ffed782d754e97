"""From a client's frame to an ask, and from the owner's answer back to the client."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from gateway.asks import Asks
from gateway.connection import Connection
from gateway.native import State
from gateway.rooms import Room, Rooms
from gateway.session import Session
from hubbub import frames
from hubbub.errors import Code
from hubbub.frames import ClientFrame, Error, Ok, Page, Roster, Welcome
from hubbub.names import name_key
from hubbub.wire import Answer, Fetch, Fetched, Lost

_NO_ANSWER = "the cluster did not answer in time; ask again with the same id"
_NO_SESSION = "the cluster does not answer; try again, or another gateway"
_OVER = {Code.REPLACED.value, Code.EXPIRED.value}  # the session is not this connection's any more


class Request:
    """What one connection waits for."""

    __slots__ = ("answer", "connection", "frame", "room", "weight")

    def __init__(
        self, connection: Connection, frame: ClientFrame, weight: int, room: Room | None
    ) -> None:
        self.connection = connection
        self.frame = frame
        self.weight = weight
        self.room = room  # one that stays followed until the answer is there
        self.answer: tuple[Answer, int] | None = None  # that waits for its turn, and its position


class Pings:
    """All pings of one turn: one question serves them."""

    __slots__ = ("waiting",)

    def __init__(self, waiting: list[tuple[Connection, int, int]]) -> None:
        self.waiting = waiting


class Fetching:
    """A stretch of a room's log that this gateway lacks."""

    __slots__ = ("room_id",)

    def __init__(self, room_id: int) -> None:
        self.room_id = room_id


class Farewell:
    """Nobody waits for the answer to this."""

    __slots__ = ()


Context: TypeAlias = Request | Pings | Fetching | Farewell


class Desk:
    """Binds requests to sessions and answers to connections.

    Args:
        asks: the stream to the owner.
        rooms: who is where.
        now: the time.
        wake: have the turn ended soon.
        log_opened: called when a session has its connection here.
    """

    def __init__(
        self,
        asks: Asks[Context],
        rooms: Rooms,
        now: Callable[[], float],
        wake: Callable[[], None],
        log_opened: Callable[[Connection], None],
    ) -> None:
        self.sessions: dict[int, Connection] = {}
        self._asks = asks
        self._rooms = rooms
        self._now = now
        self._wake = wake
        self._log_opened = log_opened
        self._pings: list[tuple[Connection, int, int]] = []
        # Until then greetings may be old: this process was frozen, and who waited has gone on.
        self.stale_until = 0.0

    # --- from clients ---------------------------------------------------------------------

    def request(self, connection: Connection, frame: ClientFrame, weight: int) -> None:
        """Pass one frame on; its answer comes later."""
        self._wake()
        if isinstance(frame, frames.Ping):
            self._pings.append((connection, frame.ref, weight))
            return
        session = connection.session
        size = connection.core.size
        if session is None:
            if self._now() < self.stale_until and connection.peer_has_left():
                # It may have its session elsewhere by now: passed on, this would take it away.
                connection.finish("peer gone")
                return
            connection.core.state = State.WAITING
            if isinstance(frame, frames.Hello | frames.Resume):
                connection.agent = frame.agent
            self._asks.add(
                frame,
                Request(connection, frame, weight, None),
                self._now(),
                address=connection.address,
                snapshot=isinstance(frame, frames.Resume),
                size=size,
            )
            return
        room = None
        if isinstance(frame, frames.Join):
            room = self._rooms.named(frame.room)
            if room is not None:
                room.expected += 1
        elif isinstance(frame, frames.Bye):
            connection.parted = True
        request = Request(connection, frame, weight, room)
        if isinstance(frame, frames.Join | frames.Leave):
            connection.changes.append(request)
        self._asks.add(
            frame,
            request,
            self._now(),
            session=session.number,
            generation=session.generation,
            snapshot=isinstance(frame, frames.Join) and room is None,
            size=size,
        )

    def flush_pings(self) -> None:
        """Ask one ping for all of this turn."""
        if self._pings:
            self._asks.add(frames.Ping(0), Pings(self._pings), self._now())
            self._pings = []

    def fetch(self, room_id: int, after: int) -> None:
        """Ask for a room's log above `after`."""
        self._asks.add(Fetch(room_id, after), Fetching(room_id), self._now())
        self._wake()

    def closing(self, connection: Connection) -> None:
        """A connection takes part no more: leave its rooms here, and tell the owner."""
        for room in list(connection.rooms.values()):
            self._rooms.leave(connection, room)
        session = connection.session
        if session is None or self.sessions.get(session.number) is not connection:
            return
        del self.sessions[session.number]
        if not connection.parted:
            self._part(session.number, session.generation, Lost())

    def _part(self, session: int, generation: int, frame: Lost | frames.Bye) -> None:
        self._asks.add(frame, Farewell(), self._now(), session=session, generation=generation)
        self._wake()

    # --- from the owner -------------------------------------------------------------------

    def act(self, answer: Answer, position: int) -> None:
        """Act on one answer, true at `position`, up to which the stream has been delivered."""
        context = self._asks.answered(answer.no)
        reply = answer.reply
        if isinstance(context, Request):
            if isinstance(context.frame, frames.Join | frames.Leave):
                context.answer = answer, position
                self._act_in_order(context.connection)
            else:
                self._reply(context, answer, position)
        elif isinstance(context, Pings):
            for connection, ref, weight in context.waiting:
                if not connection.is_closing:
                    connection.answer(_with_ref(reply, ref))
                    connection.answered(weight)
        elif isinstance(context, Fetching):
            if isinstance(reply, Fetched):
                self._rooms.fetched(reply.room_id, reply.events)
            else:
                self._rooms.fetch_again(context.room_id)
        elif isinstance(reply, Welcome) and answer.session not in self.sessions:
            # Given up, and made after all: nobody will ever use it.
            self._part(answer.session, answer.generation, Lost())

    def expire(self) -> None:
        """Answer what has waited too long: neither done nor refused."""
        for context in self._asks.expire(self._now()):
            if isinstance(context, Request):
                text = _NO_ANSWER if context.connection.session else _NO_SESSION
                code = Code.UNKNOWN if context.connection.session else Code.UNAVAILABLE
                if context in context.connection.changes:
                    context.connection.changes.remove(context)
                self._refuse(context, Error(code, text))
                self._release(context)
                self._act_in_order(context.connection)
            elif isinstance(context, Pings):
                for connection, ref, weight in context.waiting:
                    connection.answer(Error(Code.UNKNOWN, _NO_ANSWER, ref))
                    connection.answered(weight)
            elif isinstance(context, Fetching):
                self._rooms.fetch_again(context.room_id)

    def _act_in_order(self, connection: Connection) -> None:
        """Act on answered joins and leaves as far as none before them is open.

        Answers that were repeated come out of order; who left a room would be shown it for ever if
        an older join were acted on after the leave.
        """
        changes = connection.changes
        while changes and (answered := changes[0].answer) is not None:
            self._reply(changes.pop(0), *answered)

    def _reply(self, request: Request, answer: Answer, position: int) -> None:
        self._carry_out(request, answer, position)
        self._release(request)

    def _carry_out(self, request: Request, answer: Answer, position: int) -> None:
        connection, frame, reply = request.connection, request.frame, answer.reply
        if connection.is_closing:
            self._abandoned(frame, answer)
            return
        if isinstance(reply, Ok):
            connection.answer(Ok(frame.ref, reply.room, reply.seq, reply.at))
            self._done(connection, frame)
        elif isinstance(reply, Error):
            self._refuse(request, reply)
            return
        elif isinstance(reply, Welcome):
            self._welcome(request, reply, answer, position)
        elif isinstance(reply, Roster):
            self._roster(request, reply, answer, position)
        elif isinstance(reply, Page) and isinstance(frame, frames.History):
            if frame.after is not None:
                reply = self._rooms.catch_up(connection, reply, frame.after, position)
            connection.answer(_with_ref(reply, frame.ref))
            if connection.tail:
                connection.put(connection.tail)
                connection.tail = b""
        else:
            connection.answer(_with_ref(reply, frame.ref))
        connection.answered(request.weight)

    def _done(self, connection: Connection, frame: ClientFrame) -> None:
        if isinstance(frame, frames.Leave):
            room = self._rooms.named(frame.room)
            if room is not None:
                self._rooms.leave(connection, room)
        elif isinstance(frame, frames.Bye):
            connection.finish("bye")

    def _refuse(self, request: Request, error: Error) -> None:
        connection = request.connection
        if connection.is_closing:
            return
        connection.answer(_with_ref(error, request.frame.ref))
        if connection.session is None:
            connection.core.state = State.NEW
        elif error.code in _OVER:
            connection.parted = True
            connection.end(Code(error.code), error.text)
            return
        elif isinstance(request.frame, frames.Bye):
            connection.parted = False
        connection.answered(request.weight)

    def _release(self, request: Request) -> None:
        """A room that was kept for this answer may go once it is acted on."""
        room, request.room = request.room, None
        if room is not None:
            room.expected -= 1
            self._rooms.drop_if_empty(room)

    def _abandoned(self, frame: ClientFrame, answer: Answer) -> None:
        """The client left before it was answered: nobody else may hold what it was given."""
        if not isinstance(answer.reply, Welcome):
            return
        if isinstance(frame, frames.Hello):
            # Nobody has the token, so nobody can resume: free the name at once.
            bye = frames.Bye(0, secrets.token_bytes(16))
            self._part(answer.session, answer.generation, bye)
        else:
            self._part(answer.session, answer.generation, Lost())

    # --- sessions and rooms ---------------------------------------------------------------

    def _welcome(self, request: Request, reply: Welcome, answer: Answer, position: int) -> None:
        connection, frame = request.connection, request.frame
        followed = [self._rooms.follow(snapshot, position) for snapshot in answer.rooms]
        if not all(followed):
            for snapshot in answer.rooms:
                self._rooms.drop_if_empty(self._rooms.named(snapshot.room))
            connection.core.state = State.NEW
            connection.answer(Error(Code.UNKNOWN, _NO_ANSWER, frame.ref))
            return
        older = self.sessions.pop(answer.session, None)
        if older is not None:
            older.parted = True
            older.end(Code.REPLACED, "the session was resumed on another connection")
        connection.session = Session(answer.session, answer.generation, reply.sender, reply.name)
        self.sessions[answer.session] = connection
        connection.core.state = State.READY
        cursors = {}
        if isinstance(frame, frames.Resume):
            cursors = {name_key(name): cursor for name, cursor in frame.rooms.items()}
        rooms = [room for state in reply.rooms if (room := self._rooms.named(state.room))]
        for room in rooms:
            self._rooms.settle_one(room)
        states = [room.state() for room in rooms]
        connection.answer(msgspec.structs.replace(reply, ref=frame.ref, rooms=states))
        for room in rooms:
            self._rooms.enter(connection, room, cursors.get(room.key))
        self._log_opened(connection)

    def _roster(self, request: Request, reply: Roster, answer: Answer, position: int) -> None:
        connection, frame = request.connection, request.frame
        followed = all(self._rooms.follow(snapshot, position) for snapshot in answer.rooms)
        room = self._rooms.named(reply.room)
        if room is not None:
            self._rooms.settle_one(room)
            # The copy is as true as the answer, and newer.
            connection.answer(room.roster_frame(frame.ref, reply.epoch))
        if not isinstance(frame, frames.Join):
            if room is None:
                connection.answer(_with_ref(reply, frame.ref))
            return
        if room is None or not followed:
            connection.answer(Error(Code.UNKNOWN, _NO_ANSWER, frame.ref))
            return
        self._rooms.enter(connection, room, frame.since)


def _with_ref(reply: frames.Reply | Fetched, ref: int) -> frames.Frame:
    assert not isinstance(reply, Fetched)
    return msgspec.structs.replace(reply, ref=ref)

"""From a client's frame to an ask, and from the owner's answer back to the client."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from gateway.asks import Asks
from gateway.connection import Connection
from gateway.entrance import NO_ANSWER, Entrance
from gateway.native import State
from gateway.people import People
from gateway.rooms import Room, Rooms
from gateway.session import Session
from hubbub import frames
from hubbub.errors import Code
from hubbub.frames import ClientFrame, Error, Ok, Page, Roster, Welcome
from hubbub.limits import PAUSE, Buckets, Kind as LimitKind, Limits, kind_of
from hubbub.names import DIRECT, name_key
from hubbub.wire import Answer, Fetch, Fetched, Lost

_SHUT = "something before it could not be stored; ask for that again first"
_NO_SESSION = "the cluster does not answer; try again, or another gateway"
_OVER = {Code.REPLACED.value, Code.EXPIRED.value}  # the session is not this connection's any more
_WITH_AGENT = (frames.Hello, frames.Login, frames.Resume)
_WITH_ROOMS = (frames.Login, frames.Resume)  # their welcome may list some
_CHANGES = (frames.Join, frames.Leave)  # answered in the order in which they were asked
# May end the session that asks: it is answered before its connection ends.
_FAREWELLS = (frames.Bye, frames.Unregister, frames.Revoke, frames.Suspend)
_WATCHED = frozenset({*_CHANGES, *_FAREWELLS})
_LAST = (frames.Bye, frames.Unregister)  # nothing follows their `ok`
_CHANGING = (LimitKind.SAY, LimitKind.CHANGE)
_MANY = {
    LimitKind.SAY: "messages",
    LimitKind.CHANGE: "changes",
    LimitKind.READ: "questions",
    LimitKind.SEARCH: "searches",
}


class Request:
    """What one connection waits for."""

    __slots__ = ("answer", "connection", "frame", "room", "weight")

    def __init__(self, connection: Connection, frame: ClientFrame, weight: int) -> None:
        self.connection = connection
        self.frame = frame
        self.weight = weight
        self.room: Room | None = None  # one that stays followed until the answer is there
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
        asks: what is asked of the owner.
        people: who has a session here.
        rooms: who is where.
        entrance: acts on what puts a connection into rooms.
        limits: how much one connection may ask.
        now: the time.
        wake: have the turn ended soon.
        typed: called when somebody types in a room.
    """

    def __init__(
        self,
        asks: Asks[Context],
        people: People,
        rooms: Rooms,
        entrance: Entrance,
        limits: Limits,
        *,
        now: Callable[[], float],
        wake: Callable[[], None],
        typed: Callable[[Session, Room], None],
    ) -> None:
        self._asks = asks
        self._people = people
        self._rooms = rooms
        self._entrance = entrance
        self._limits = limits
        self._now = now
        self._wake = wake
        self._typed = typed
        self._pings: list[tuple[Connection, int, int]] = []
        self._settled: list[tuple[Connection, int]] = []  # answered here; the next turn may go on
        # Until then greetings may be old: this process was frozen, and who waited has gone on.
        self.stale_until = 0.0

    # --- from clients ---------------------------------------------------------------------

    def request(self, connection: Connection, frame: ClientFrame, weight: int) -> None:
        """Pass one frame on; its answer comes later."""
        self._wake()
        if isinstance(frame, frames.Ping):
            self._pings.append((connection, frame.ref, weight))
            return
        now = self._now()
        session = connection.session
        if session is None:
            self._greet(connection, frame, weight, now)
            return
        kind = kind_of(type(frame))
        if kind is not None and (error := self._not_now(connection, frame.ref, kind, now)):
            self._answer_here(connection, error, weight)
            return
        if isinstance(frame, frames.Typing):
            self._answer_here(connection, self._type(connection, session, frame), weight)
            return
        request = Request(connection, frame, weight)
        if type(frame) in _WATCHED:
            self._watch(request, session)
        self._asks.add(
            frame,
            request,
            now,
            session=session.number,
            generation=session.generation,
            snapshot=isinstance(frame, frames.Join) and request.room is None,
            size=connection.core.size,
        )

    def _not_now(
        self, connection: Connection, ref: int, kind: LimitKind, now: float
    ) -> Error | None:
        """Why a request is not passed on."""
        shut = connection.shut_until - now
        if kind in _CHANGING and 0 < shut <= PAUSE:  # more than that: the clock went back
            return Error(Code.UNAVAILABLE, _SHUT, ref, retry_after=round(shut, 3))
        buckets = connection.buckets
        if buckets is None:
            buckets = connection.buckets = Buckets()
        wait = buckets.take(kind, self._limits, now)
        if not wait:
            return None
        text = f"too many {_MANY[kind]} at once; wait {wait:.1f} s"
        return Error(Code.LIMIT, text, ref, retry_after=round(wait, 3))

    def _watch(self, request: Request, session: Session) -> None:
        """Note what is on its way that changes what this connection takes part in."""
        connection, frame = request.connection, request.frame
        if isinstance(frame, frames.Join):
            request.room = self._rooms.named(frame.room)
            if request.room is not None:
                request.room.expected += 1
        if isinstance(frame, _CHANGES):
            connection.changes.append(request)
        else:
            session.farewells += 1
            connection.parted = connection.parted or isinstance(frame, frames.Bye)

    def _greet(self, connection: Connection, frame: ClientFrame, weight: int, now: float) -> None:
        """Ask for a session."""
        if now < self.stale_until and connection.peer_has_left():
            # It may have its session elsewhere by now: passed on, this would take it away.
            connection.finish("peer gone")
            return
        connection.core.state = State.WAITING
        if isinstance(frame, _WITH_AGENT):
            connection.agent = frame.agent
        self._asks.add(
            frame,
            Request(connection, frame, weight),
            now,
            address=connection.address,
            snapshot=isinstance(frame, _WITH_ROOMS),
            size=connection.core.size,
        )

    def _answer_here(self, connection: Connection, reply: Error | Ok, weight: int) -> None:
        """Answer without asking the owner.

        The request goes on counting until the turn ends: one that asks without end is read no
        faster than others are served.
        """
        connection.answer(reply)
        self._settled.append((connection, weight))

    def _type(self, connection: Connection, session: Session, frame: frames.Typing) -> Error | Ok:
        room = self._rooms.named(frame.room)
        if room is None and frame.room.startswith(DIRECT):
            # "@NAME" is a name that only the two use.
            key, own = name_key(frame.room), session.sender
            pairs = (one for one in connection.rooms.values() if one.pair)
            room = next((one for one in pairs if one.is_called(key, own)), None)
        if room is None or room.id not in connection.rooms:
            return Error(Code.NOT_MEMBER, "join the room first", frame.ref)
        if session.sender in room.roster:  # else nobody is to see that they are there
            self._typed(session, room)
        return Ok(frame.ref, room.name)

    @property
    def has_settled(self) -> bool:
        """Whether `go_on` has something to do."""
        return bool(self._settled)

    def go_on(self) -> None:
        """Let those who were answered here ask more."""
        settled, self._settled = self._settled, []
        for connection, weight in settled:
            connection.answered(weight)

    def flush_pings(self) -> None:
        """Ask one ping for all of this turn."""
        if self._pings:
            self._asks.add(frames.Ping(0), Pings(self._pings), self._now())
            self._pings = []

    def fetch(self, room_id: int, after: int) -> None:
        """Ask for a room's log above `after`."""
        self._asks.add(Fetch(room_id, after), Fetching(room_id), self._now())
        self._wake()

    def is_of_log(self, answer: Answer) -> bool:
        """Whether a room's log was asked for: it may have been refused."""
        return isinstance(self._asks.context(answer.no), Fetching)

    def closing(self, connection: Connection) -> None:
        """A connection takes part no more: leave its rooms here, and tell the owner."""
        session = self._people.remove(connection)
        if session is not None and not connection.parted:
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
            if isinstance(context.frame, _CHANGES):
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
        elif isinstance(reply, Welcome) and answer.session not in self._people.sessions:
            # Given up, and made after all: nobody will ever use it.
            self._part(answer.session, answer.generation, Lost())

    def expire(self) -> None:
        """Answer what has waited too long: neither done nor refused."""
        for context in self._asks.expire(self._now()):
            if isinstance(context, Request):
                text = NO_ANSWER if context.connection.session else _NO_SESSION
                code = Code.UNKNOWN if context.connection.session else Code.UNAVAILABLE
                self._drop(context, Error(code, text))
            elif isinstance(context, Pings):
                for connection, ref, weight in context.waiting:
                    connection.answer(Error(Code.UNKNOWN, NO_ANSWER, ref))
                    connection.answered(weight)
            elif isinstance(context, Fetching):
                self._rooms.fetch_again(context.room_id)

    def _drop(self, request: Request, error: Error) -> None:
        """Refuse what the owner has not answered."""
        if request in request.connection.changes:
            request.connection.changes.remove(request)
        self._refuse(request, error)
        self._release(request)
        self._act_in_order(request.connection)

    def outdate(self, position: int) -> None:
        """A sync has told who is in which room at `position`: no answer before it tells more."""
        for connection in self._people.sessions.values():
            for request in connection.changes:
                if request.answer is not None:
                    answer = msgspec.structs.replace(request.answer[0], rooms=[], inside=False)
                    request.answer = answer, position

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
            if isinstance(frame, _LAST):
                connection.parted = True
                connection.finish(type(frame).__name__.lower())
        elif isinstance(reply, Error):
            unstored = reply.code == Code.UNAVAILABLE and kind_of(type(frame)) in _CHANGING
            if unstored:  # it is asked again: what its client sends before it knows waits for that
                connection.shut_until = self._now() + PAUSE
            self._refuse(request, reply)
            if unstored and connection.asked:
                self._refuse_behind(connection)
            return
        elif isinstance(reply, Welcome):
            self._entrance.welcome(connection, frame, reply, answer, position)
        elif isinstance(reply, Roster) and isinstance(frame, frames.Join):
            self._entrance.join(connection, frame, reply, answer, position)
        elif isinstance(reply, Roster):
            self._entrance.roster(connection, reply, frame.ref)
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

    def _refuse_behind(self, connection: Connection) -> None:
        """Refuse what was not passed on yet; of what was, the owner does it."""
        if connection.session is None:
            return
        number = connection.session.number
        behind = self._asks.withdraw(
            lambda ask: ask.session == number and kind_of(type(ask.frame)) in _CHANGING
        )
        for context in behind:
            if isinstance(context, Request):
                self._drop(context, Error(Code.UNAVAILABLE, _SHUT, retry_after=PAUSE))

    def _release(self, request: Request) -> None:
        """What was kept for this answer may go once it is acted on."""
        room, request.room = request.room, None
        if room is not None:
            room.expected -= 1
            self._rooms.drop_if_empty(room)
        session = request.connection.session
        if session is not None and isinstance(request.frame, _FAREWELLS):
            session.farewells -= 1
            self._people.end_if_over(request.connection)

    def _abandoned(self, frame: ClientFrame, answer: Answer) -> None:
        """The client left before it was answered: nobody else may hold what it was given."""
        if not isinstance(answer.reply, Welcome):
            return
        if isinstance(frame, frames.Hello | frames.Login):
            # Nobody has the token, so nobody can resume: free the name at once.
            bye = frames.Bye(0, secrets.token_bytes(16))
            self._part(answer.session, answer.generation, bye)
        else:
            self._part(answer.session, answer.generation, Lost())


def _with_ref(reply: frames.Reply | Fetched, ref: int) -> frames.Frame:
    assert not isinstance(reply, Fetched)
    return msgspec.structs.replace(reply, ref=ref)

"""What all calls of a client have in common, and the calls by which one talks and looks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from hubbub.client_wire import decode_entries, decode_message
from hubbub.errors import RemoteProtocolError
from hubbub.frames import (
    ClientFrame,
    Delete,
    Edit,
    Event,
    Found,
    History,
    Message,
    Ok,
    Page,
    Peer,
    PeerList,
    Peers,
    Ping,
    Pong,
    React,
    Read,
    Reply,
    Report,
    RoomInfo,
    RoomList,
    Rooms,
    RoomState,
    Say,
    Search,
    States,
    Status,
    Typing,
    Unread,
)

if TYPE_CHECKING:
    import asyncio

    from hubbub.client_session import Session

TYPING_WITHIN = 5.0  # seconds; after that it is no longer true
PAGE_OF_A_LIST = 500

_ReplyT = TypeVar("_ReplyT", bound=Reply)


class Stretch(msgspec.Struct, frozen=True):
    """A part of a room's log, oldest first and without a hole.

    `more`: there are further ones in the direction that was asked for.
    """

    events: list[Message | Event]
    head: int
    first: int
    more: bool


class SearchHit(msgspec.Struct, frozen=True):
    """A message that was searched for, with what was said around it, oldest first."""

    room: str
    message: Message
    before: list[Message | Event] = []
    after: list[Message | Event] = []


class SearchResult(msgspec.Struct, frozen=True):
    """What a search found, the best first. `more`: search again with `before` = `next`."""

    hits: list[SearchHit]
    more: bool = False
    next: int = 0


class Calls:
    """Base of a client's calls. Rooms are called as the application calls them: `lobby`, `@Rita`.

    Each returns once the server has answered, or raises:

        Refused: not allowed or not possible; `code` says which.
        OutcomeUnknown: it may or may not have been done (a kind of Refused).
        Unreachable: no server could be asked in time.
    """

    _session_or_none: Session | None = None

    @property
    def _session(self) -> Session:
        if self._session_or_none is None:
            raise RuntimeError("enter the client with `async with` first")
        return self._session_or_none

    async def _ask(
        self,
        make: Callable[..., ClientFrame],
        kind: type[_ReplyT],
        on_answer: Callable[[Reply], None] | None = None,
        *,
        within: float | None = None,
    ) -> _ReplyT:
        reply: Any = await self._session.ask(make, on_answer, within=within)
        if not isinstance(reply, kind):
            raise RemoteProtocolError(f"an answer of the wrong kind: {type(reply).__name__}")
        return reply

    async def _change(self, make: Callable[[int, bytes], ClientFrame]) -> Ok:
        """Ask for what is answered by a plain `ok`, and is done once however often it is asked."""
        ident = os.urandom(16)
        return await self._ask(lambda ref: make(ref, ident), Ok)

    def _wire(self, room: str) -> str:
        return self._session.rooms.directs.wire(room)


class TalkCalls(Calls):
    """Saying something, and what can be done with what was said."""

    async def say(
        self,
        room: str,
        text: str,
        *,
        action: bool = False,
        reply: int = 0,
        id: bytes | None = None,
        within: float | None = None,
    ) -> Ok:
        """Post `text`; returns once it is stored, with its number.

        Calls are carried out in the order they were made, also when they wait side by side and
        over a reconnect. `id` (16 bytes) makes repeating a call safe within one session, and for
        an account also later. `reply`: the number of the message that this answers. To `@NAME`
        without joining anything.
        """
        future = self.say_nowait(room, text, action=action, reply=reply, id=id, within=within)
        return await future

    def say_nowait(
        self,
        room: str,
        text: str,
        *,
        action: bool = False,
        reply: int = 0,
        id: bytes | None = None,
        within: float | None = None,
    ) -> asyncio.Future[Ok]:
        """As `say`, without waiting: the future has the answer."""
        ident = os.urandom(16) if id is None else id
        wire = self._wire(room)
        return self._session.ask(
            lambda ref: Say(ref, ident, wire, text, action, reply), within=within
        )

    async def edit(self, room: str, seq: int, text: str) -> Ok:
        """Give one's own message another text."""
        return await self._change(lambda ref, id: Edit(ref, id, self._wire(room), seq, text))

    async def delete(self, room: str, seq: int, text: str = "") -> Ok:
        """Take the text of a message away. `text` says why."""
        return await self._change(lambda ref, id: Delete(ref, id, self._wire(room), seq, text))

    async def react(self, room: str, seq: int, reaction: str, on: bool = True) -> Ok:
        """React to a message, or with `on=False` take that back."""
        wire = self._wire(room)
        return await self._change(lambda ref, id: React(ref, id, wire, seq, reaction, on))

    async def typing(self, room: str) -> None:
        """Tell the others that one is writing, as of now. Lost without a word when not connected.

        Call it again every few seconds while it is true; more often is told no more often.
        """
        session = self._session
        if session.is_connected:
            session.mention(lambda ref: Typing(ref, self._wire(room)), within=TYPING_WITHIN)

    async def read(self, room: str, seq: int | None = None) -> None:
        """One has read a room up to a number; None: up to what was last given to the application.

        The mark is the same on all of one's devices and never moves back.
        """
        rooms = self._session.rooms
        joined = rooms.find(room)
        if seq is None:
            seq = 0 if joined is None else joined.shown
        if joined is not None and seq <= joined.mark:
            return

        def taken(reply: Reply) -> None:
            if isinstance(reply, Ok):
                rooms.read(room, seq)

        await self._ask(lambda ref: Read(ref, self._wire(room), seq), Ok, taken)


class LookCalls(Calls):
    """Reading what there is."""

    async def unread(self) -> list[RoomState]:
        """Every room that one is in, and how far one has read it: unread is count less marked."""

        def taken(reply: Reply) -> None:
            if isinstance(reply, States):
                for state in reply.rooms:
                    rooms.take_state(state)

        rooms = self._session.rooms
        states = await self._ask(Unread, States, taken)
        return rooms.directs.show_all(states.rooms)

    async def history(
        self,
        room: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
        epoch: int = 0,
    ) -> Stretch:
        """Events above `after`, or the last ones below `before`, or the newest.

        Raises:
            EpochChanged: `epoch` is not that of today.
        """
        wire = self._wire(room)
        page = await self._ask(
            lambda ref: History(ref, wire, after=after, before=before, limit=limit, epoch=epoch),
            Page,
        )
        return Stretch(self._entries(page.events), page.head, page.first, page.more)

    def _entries(self, raw: list[msgspec.Raw]) -> list[Message | Event]:
        directs = self._session.rooms.directs
        return [directs.show(entry) for entry in decode_entries(raw)]

    async def search(
        self, text: str, *, limit: int = 20, context: int = 0, before: int = 0
    ) -> SearchResult:
        """Messages by their words, the best first, with `context` others on each side.

        `text` holds words that must all be there, "phrases in quotes", and filters: `from:NAME`,
        `in:ROOM`, `before:2026-01-31`, `after:2026-01-31`. `before`: the `next` of an answer with
        `more`.

        Raises:
            Refused: with `bad_query` and what is wrong.
        """
        found = await self._ask(lambda ref: Search(ref, text, limit, context, before), Found)
        directs = self._session.rooms.directs
        hits = [
            SearchHit(
                directs.shown(hit.room),
                directs.show(decode_message(hit.message)),
                self._entries(hit.before),
                self._entries(hit.after),
            )
            for hit in found.hits
        ]
        return SearchResult(hits, found.more, found.next)

    async def rooms(self, search: str = "") -> list[RoomInfo]:
        """The rooms one may see, in the order of their names.

        `search`: only those whose name or title holds it.
        """
        found: list[RoomInfo] = []
        more = True
        while more:
            after = found[-1].room if found else ""
            page = await self._ask(
                lambda ref, a=after: Rooms(ref, a, PAGE_OF_A_LIST, search), RoomList
            )
            found += page.rooms
            more = page.more and bool(page.rooms)
        return self._session.rooms.directs.show_all(found)

    async def peers(self) -> list[Peer]:
        """Who can be talked to, in the order of their names."""
        found: list[Peer] = []
        more = True
        while more:
            after = found[-1].name if found else ""
            page = await self._ask(lambda ref, a=after: Peers(ref, a, PAGE_OF_A_LIST), PeerList)
            found += page.peers
            more = page.more and bool(page.peers)
        return found

    async def status(self) -> Report:
        """How the cluster is."""
        return await self._ask(Status, Report)

    async def ping(self) -> None:
        """Returns when all that was answered to anybody before this was asked is delivered here."""
        await self._ask(Ping, Pong)

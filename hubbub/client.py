"""The client library: `async with hubbub.connect(...) as client`."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import unicodedata
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from hubbub.client_events import ClientEvent
from hubbub.client_link import parse_addresses
from hubbub.client_retry import Patience
from hubbub.client_session import Session
from hubbub.client_wire import decode_entries
from hubbub.errors import RemoteProtocolError, Unreachable
from hubbub.frames import (
    ClientFrame,
    Event,
    History,
    Join,
    Leave,
    Members,
    Message,
    Nick,
    Ok,
    Page,
    Peer,
    PeerList,
    Peers,
    Ping,
    Pong,
    Reply,
    Report,
    RoomInfo,
    RoomList,
    Rooms,
    Roster,
    Say,
    Status,
)
from hubbub.names import check_name, name_key

_ReplyT = TypeVar("_ReplyT", bound=Reply)


class Stretch(msgspec.Struct, frozen=True):
    """A part of a room's log, oldest first and without a hole.

    `more`: there are further ones in the direction that was asked for.
    """

    events: list[Message | Event]
    head: int
    first: int
    more: bool


def connect(
    *addresses: str,
    name: str | None = None,
    visible: bool = True,
    token: str | None = None,
    keep_session: bool = False,
    agent: str = "hubbub-python",
    patience: Patience | None = None,
    connect_within: float | None = None,
) -> Client:
    """A client of the cluster at `addresses`, to be entered with `async with`.

    Args:
        addresses: HOST:PORT each, tried in turn; without any those of HUBBUB_SERVER (several
            with ","), then 127.0.0.1:7000.
        name: the name to go by; None for a fresh guest name.
        visible: whether others see this client enter, leave and be there.
        token: resumes that session instead of beginning one.
        keep_session: leave without a goodbye, so that `client.token` resumes the session later.
        agent: what program this is, for the operator.
        patience: how long to wait for what.
        connect_within: seconds for the first connection; overrides that of `patience`.

    Entering raises:
        Unreachable: no server greeted us within `connect_within`.
        Refused: the name may not be one (`bad_name`) or is held by somebody else (`name_taken`).
    """
    patience = patience or Patience()
    if connect_within is not None:
        patience = dataclasses.replace(patience, connect_within=connect_within)
    return Client(
        parse_addresses(addresses),
        name=name,
        visible=visible,
        token=token,
        keep_session=keep_session,
        agent=agent,
        patience=patience,
    )


def _reason(error: Exception | None) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # the loop's own text is for programmers
    return str(error or "no answer")


class Client:
    """A session with the cluster that survives lost connections.

    It reconnects by itself, resumes where it was, and asks again what was not answered; a call
    returns once the server has answered it, or raises:

        Refused: not allowed or not possible; `code` says which.
        OutcomeUnknown: it may or may not have been done (a kind of Refused).
        Unreachable: no server could be asked in time.

    `async for event in client` gives what happens in the joined rooms, one's own messages too,
    each room's in the order of its numbers without a hole and without a double; and notices
    (hubbub.client_events). One reader at a time. What is not read is bounded: past some thousand
    events the rest stays on the server until the reader has caught up.
    """

    def __init__(
        self,
        addresses: list[tuple[str, int]],
        *,
        name: str | None,
        visible: bool,
        token: str | None,
        keep_session: bool,
        agent: str,
        patience: Patience,
    ) -> None:
        self.addresses = addresses
        self._name = name
        self._visible = visible
        self._token = token
        self.keep_session = keep_session  # may be changed until the end
        self._agent = agent
        self._patience = patience
        self._group = asyncio.TaskGroup()
        self._session_or_none: Session | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Client:
        if self._name is not None:
            check_name(self._name)
        self._session_or_none = session = Session(
            self.addresses,
            name=self._name,
            visible=self._visible,
            token=self._token,
            agent=self._agent,
            patience=self._patience,
        )
        await self._group.__aenter__()
        self._task = self._group.create_task(session.run(), name="hubbub session")
        try:
            async with asyncio.timeout(self._patience.connect_within):
                await session.ready
        except TimeoutError:
            await self._close(None, goodbye=False)
            where = ", ".join(f"{host}:{port}" for host, port in self.addresses)
            raise Unreachable(f"no server at {where}: {_reason(session.last_error)}") from None
        except BaseException as error:
            await self._close(error, goodbye=False)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(error, goodbye=not self.keep_session)

    async def _close(self, error: BaseException | None, *, goodbye: bool) -> None:
        assert self._task is not None
        try:
            await self._session.stop(goodbye=goodbye)
        finally:
            self._task.cancel()
            # Of the body's errors the group is told a cancellation alone: it may be its own doing,
            # when the session's task crashed, and only it can tell.
            told = error if isinstance(error, asyncio.CancelledError) else None
            await self._group.__aexit__(None if told is None else type(told), told, None)

    @property
    def _session(self) -> Session:
        if self._session_or_none is None:
            raise RuntimeError("enter the client with `async with` first")
        return self._session_or_none

    # --- who and where -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name one has now."""
        return self._session.name or ""

    @property
    def sender(self) -> int:
        """One's own number: stays when the name changes."""
        welcome = self._session.welcome
        return 0 if welcome is None else welcome.sender

    @property
    def token(self) -> str:
        """Resumes this session from elsewhere. A secret."""
        return self._session.token or ""

    @property
    def epoch(self) -> int:
        """Which numbering the rooms are in."""
        return self._session.rooms.epoch

    @property
    def gateway(self) -> str:
        """The gateway that one is connected to, or was last."""
        welcome = self._session.welcome
        return "" if welcome is None else welcome.gateway

    @property
    def joined(self) -> list[str]:
        """The rooms one is in, in the order of joining."""
        return [room.name for room in self._session.rooms.all()]

    # --- what happens --------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        return self

    async def __anext__(self) -> ClientEvent:
        return await self._session.queue.get()

    def event_nowait(self) -> ClientEvent | None:
        """The next event if one has arrived."""
        return self._session.queue.get_nowait()

    async def messages(self, room: str) -> AsyncIterator[Message]:
        """The messages of one room; everything else that is read meanwhile is dropped."""
        key = name_key(room)
        async for event in self:
            if isinstance(event, Message) and name_key(event.room) == key:
                yield event

    # --- rooms ---------------------------------------------------------------------------------

    async def join(self, room: str, *, since: int | None = None, epoch: int = 0) -> Roster:
        """Enter a room and be told who is in it; from now on its events arrive.

        With `since` those above that number arrive first. In a room one is already in, `since`
        is not looked at.

        Raises:
            EpochChanged: `since` belongs to another numbering, or is above the head.
        """
        session = self._session
        if session.rooms.find(room) is not None:
            return await self.members(room)
        wanted = self.epoch if since is not None and not epoch else epoch
        ident = os.urandom(16)
        asked = session.greetings

        def taken(reply: Reply) -> None:
            if isinstance(reply, Roster):
                session.rooms.joined(reply, since, repeated=session.greetings != asked)

        return await self._ask(
            lambda ref: Join(ref, ident, room, since, wanted if since is not None else 0),
            Roster,
            taken,
        )

    async def leave(self, room: str) -> None:
        """Leave a room; being in none of that name is fine."""
        ident = os.urandom(16)

        def taken(reply: Reply) -> None:
            if isinstance(reply, Ok):
                self._session.rooms.remove(room)

        await self._ask(lambda ref: Leave(ref, ident, room), Ok, taken)

    async def members(self, room: str) -> Roster:
        """Who is in a room."""
        return await self._ask(lambda ref: Members(ref, room), Roster)

    # --- speaking ------------------------------------------------------------------------------

    async def say(
        self,
        room: str,
        text: str,
        *,
        action: bool = False,
        id: bytes | None = None,
        within: float | None = None,
    ) -> Ok:
        """Post `text`; returns once it is stored, with its number.

        Calls are carried out in the order they were made, also when they wait side by side and
        over a reconnect. `id` (16 bytes) makes repeating a call safe within one session.
        """
        return await self.say_nowait(room, text, action=action, id=id, within=within)

    def say_nowait(
        self,
        room: str,
        text: str,
        *,
        action: bool = False,
        id: bytes | None = None,
        within: float | None = None,
    ) -> asyncio.Future[Ok]:
        """As `say`, without waiting: the future has the answer."""
        ident = os.urandom(16) if id is None else id
        return self._session.ask(lambda ref: Say(ref, ident, room, text, action), within=within)

    async def nick(self, name: str) -> str:
        """Take another name; returns it in the form it is shown in."""
        ident = os.urandom(16)
        session = self._session

        def taken(reply: Reply) -> None:
            if isinstance(reply, Ok):
                session.name = unicodedata.normalize("NFKC", name)

        await self._ask(lambda ref: Nick(ref, ident, name), Ok, taken)
        return self.name

    # --- reading -------------------------------------------------------------------------------

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
        page = await self._ask(
            lambda ref: History(ref, room, after=after, before=before, limit=limit, epoch=epoch),
            Page,
        )
        return Stretch(decode_entries(page.events), page.head, page.first, page.more)

    async def rooms(self) -> list[RoomInfo]:
        """The public rooms in the order of their names."""
        found: list[RoomInfo] = []
        more = True
        while more:
            after = found[-1].room if found else ""
            page = await self._ask(lambda ref, a=after: Rooms(ref, a, 500), RoomList)
            found += page.rooms
            more = page.more and bool(page.rooms)
        return found

    async def peers(self) -> list[Peer]:
        """Who can be talked to, in the order of their names."""
        found: list[Peer] = []
        more = True
        while more:
            after = found[-1].name if found else ""
            page = await self._ask(lambda ref, a=after: Peers(ref, a, 500), PeerList)
            found += page.peers
            more = page.more and bool(page.peers)
        return found

    async def status(self) -> Report:
        """How the cluster is."""
        return await self._ask(Status, Report)

    async def ping(self) -> None:
        """Returns when all that was answered to anybody before this was asked is delivered here."""
        await self._ask(Ping, Pong)

    async def _ask(
        self,
        make: Callable[..., ClientFrame],
        kind: type[_ReplyT],
        on_answer: Callable[[Reply], None] | None = None,
    ) -> _ReplyT:
        reply: Any = await self._session.ask(make, on_answer)
        if not isinstance(reply, kind):
            raise RemoteProtocolError(f"an answer of the wrong kind: {type(reply).__name__}")
        return reply

"""The client library: `async with hubbub.connect(...) as client`."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from types import TracebackType

from hubbub.client_account import AccountCalls, OperatorCalls
from hubbub.client_calls import (
    LookCalls,
    SearchHit as SearchHit,
    SearchResult as SearchResult,
    Stretch as Stretch,
    TalkCalls,
)
from hubbub.client_events import ClientEvent, RoomLost
from hubbub.client_identity import Identity
from hubbub.client_link import parse_addresses
from hubbub.client_retry import Patience
from hubbub.client_room import RoomView as RoomView
from hubbub.client_room_calls import RoomCalls
from hubbub.client_session import Session
from hubbub.errors import Code, Refused, Unreachable
from hubbub.frames import Message, Parted
from hubbub.names import name_key


def connect(
    *addresses: str,
    name: str | None = None,
    password: str | None = None,
    device: str | None = None,
    token: str | None = None,
    visible: bool = True,
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
        password: logs in to the account of that name.
        device: `client.device` of an earlier login. Alone it logs in without name and password;
            with a password it keeps guesses of strangers from delaying the login.
        token: resumes that session instead of beginning one.
        visible: whether others see this client enter, leave and be there.
        keep_session: leave without a goodbye, so that `client.token` resumes the session later.
        agent: what program this is, for the operator.
        patience: how long to wait for what.
        connect_within: seconds for the first connection; overrides that of `patience`.

    Entering raises:
        Unreachable: no server greeted us within `connect_within`.
        Refused: the name may not be one (`bad_name`) or is held by somebody else (`name_taken`);
            name, password or device are wrong (`bad_login`), or the account is `suspended`; or
            there were too many tries (`limit`, with `retry_after`).
    """
    if password is not None and not name:
        raise ValueError("a password needs the name whose it is")
    patience = patience or Patience()
    if connect_within is not None:
        patience = dataclasses.replace(patience, connect_within=connect_within)
    who = Identity(
        name=name,
        password=password,
        device=device or "",
        token=token,
        visible=visible,
        agent=agent,
    )
    return Client(parse_addresses(addresses), who, keep_session=keep_session, patience=patience)


def _reason(error: Exception | None) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # the loop's own text is for programmers
    return str(error or "no answer")


class Client(AccountCalls, RoomCalls, TalkCalls, LookCalls, OperatorCalls):
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
        who: Identity,
        *,
        keep_session: bool,
        patience: Patience,
    ) -> None:
        self.addresses = addresses
        self._who = who
        self.keep_session = keep_session  # may be changed until the end
        self._patience = patience
        self._group = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Client:
        self._who.check()
        session = Session(self.addresses, self._who, patience=self._patience)
        self._session_or_none = session
        await self._group.__aenter__()
        self._task = self._group.create_task(session.run(), name="hubbub session")
        try:
            async with asyncio.timeout(self._patience.connect_within):
                await session.ready
        except TimeoutError:
            await self._close(None, goodbye=False)
            last = session.last_error
            if isinstance(last, Refused) and last.code == Code.LIMIT:
                raise last from None
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

    # --- where ---------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Which numbering the rooms are in."""
        return self._session.rooms.epoch

    @property
    def gateway(self) -> str:
        """The gateway that one is connected to, or was last."""
        welcome = self._session.welcome
        return "" if welcome is None else welcome.gateway

    # --- what happens --------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        return self

    async def __anext__(self) -> ClientEvent:
        event = await self._session.queue.get()
        self._session.rooms.given(event)
        return event

    def event_nowait(self) -> ClientEvent | None:
        """The next event if one has arrived."""
        event = self._session.queue.get_nowait()
        if event is not None:
            self._session.rooms.given(event)
        return event

    async def messages(self, room: str) -> AsyncIterator[Message]:
        """The messages of one room until one is put out of it.

        Everything else that is read meanwhile is dropped.
        """
        key = name_key(room)
        async for event in self:
            if isinstance(event, Message) and name_key(event.room) == key:
                yield event
            elif isinstance(event, Parted | RoomLost) and name_key(event.room) == key:
                return

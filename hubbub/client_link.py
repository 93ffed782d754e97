"""One connection of a client to one gateway: a socket, a reader of frames, a watch."""

from __future__ import annotations

import asyncio
import os
from typing import Protocol, cast

from hubbub.client_identity import Identity
from hubbub.client_retry import Liveness, Patience
from hubbub.client_wire import FrameReader
from hubbub.errors import RemoteProtocolError
from hubbub.frames import ServerFrame

DEFAULT_SERVER = "127.0.0.1:7000"


def parse_addresses(addresses: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    """(host, port) pairs of HOST:PORT texts, each of which may hold several with ",".

    Raises:
        ValueError: one is not HOST:PORT, or there is none.
    """
    from hubbub.settings import parse_address

    # What is set and empty is no default: a script whose variable is unset meant another server.
    named = addresses or (os.environ.get("HUBBUB_SERVER", DEFAULT_SERVER),)
    given = ",".join(named)
    found = [parse_address(part) for part in given.split(",") if part.strip()]
    if not found:
        raise ValueError(f"{given!r} names no server; it takes HOST:PORT")
    return found


class Owner(Protocol):
    """Who has the link. Called from the loop, in the order of what happened."""

    def take_frame(self, link: Link, frame: ServerFrame, size: int) -> None: ...
    def take_lost(self, link: Link) -> None: ...
    def ping(self, link: Link) -> None: ...


class Link(asyncio.Protocol):
    """One connection. After `close`, or once lost, its owner hears nothing more of it.

    Attributes:
        who: who one is here.
        greeted: done when the server has answered `welcome`; fails when it refused or went away.
        expired: the server ended the session with the connection.
        over: done when the connection is of no more use; its result says why.
    """

    def __init__(self, owner: Owner, patience: Patience, who: Identity) -> None:
        loop = asyncio.get_running_loop()
        self._owner = owner
        self.who = who
        self._loop = loop
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.live = Liveness(patience, loop.time())
        self.since = loop.time()
        self.closed = False
        self.moving: float | None = None  # seconds within which the server asked to go elsewhere
        self.greet_deadline: asyncio.Timeout | None = None  # while waiting for `greeted`
        self.why = "connection closed by the server"
        self.expired = False
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.live.heard = self._loop.time()
        try:
            for frame, size in self._reader.feed(data):
                if self.closed:
                    return
                self._owner.take_frame(self, frame, size)
        except RemoteProtocolError as error:
            self.lose(f"broken server: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose(f"connection lost: {exc}" if exc is not None else self.why)

    def write(self, data: bytes) -> None:
        """Send; what was written to a dead connection is asked again on the next."""
        if self._transport is not None and not self.closed:
            self.live.spoke = self._loop.time()
            self._transport.write(data)

    def waits(self, waiting: bool) -> None:
        """Tell whether the server owes an answer."""
        if not waiting:
            self.live.waiting_since = None
        elif self.live.waiting_since is None:
            self.live.waiting_since = self._loop.time()
            self.watch()

    def watch(self) -> None:
        """(Re)start looking after the server, beginning with the next time it can be dead."""
        if self.closed:
            return
        when = self.live.next_check()
        if self._timer is not None:
            if self._timer.when() <= when:
                return  # looks then, and finds out when to look again
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self.live.is_dead(now):
            self.lose("the server does not answer")
            return
        if self.live.wants_ping(now):
            self._owner.ping(self)
        self.watch()

    def bear(self, seconds: float) -> None:
        """Wait so much longer for the greeting.

        The gateway lives, and waits for an answer itself: another would have to wait as long.
        """
        if self.greet_deadline is not None and not self.greet_deadline.expired():
            self.greet_deadline.reschedule(self._loop.time() + seconds)

    def move(self, within: float) -> None:
        """The server asked to go elsewhere; until that is done this link is of use."""
        self.moving = within
        self._finish()

    def lose(self, why: str) -> None:
        """The connection is over, for this reason; the owner is told, once."""
        if not self.closed:
            self.why = why
            self.close()
            self._owner.take_lost(self)

    def close(self) -> None:
        """End the connection without telling the owner. What was written is still sent."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(self.why))
            self.greeted.exception()  # nobody need be waiting
        self._finish()

    def abort(self) -> None:
        """End the connection at once, also when the peer takes nothing."""
        self.close()
        if self._transport is not None:
            self._transport.abort()

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

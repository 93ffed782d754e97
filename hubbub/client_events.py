"""What a client tells its application, and the bounded queue in which that waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from hubbub.frames import (
    Announcement,
    Event,
    Invited,
    Joined,
    Marked,
    Message,
    Parted,
    Presence,
    Typists,
)

# What an application that is busy for a while may leave unread. Past it the client forgets and
# pages the rest from history later, so these bound memory, not what is shown.
MAX_EVENTS = 4096
MAX_BYTES = 1024 * 1024
MAX_NOTICES = 64


class Notice(msgspec.Struct, frozen=True, tag_field="t", tag=str.lower):
    """Base of what the client itself has to tell."""


class Disconnected(Notice, frozen=True):
    """The connection was lost; the client is already trying to get another.

    `over`: the server has ended the session, so that only a new one can be begun, if the login
    is still good for it; the client ends by itself when it is not.
    """

    why: str
    over: bool = False


class Reconnected(Notice, frozen=True):
    """Connected again. `resumed`: as the same session; otherwise a new one under the same name."""

    name: str
    resumed: bool


class EpochReset(Notice, frozen=True):
    """The numbering of all rooms began anew (an old copy of the data was put back).

    What was shown before need not be there any more; every joined room goes on from its head.
    """

    epoch: int


class Lacking(Notice, frozen=True):
    """Events first..last of a room cannot be shown: they are no longer kept."""

    room: str
    first: int
    last: int


class RoomLost(Notice, frozen=True):
    """The client is no longer in a room: it could not go back, or was put out meanwhile."""

    room: str
    why: str


Notices: TypeAlias = Disconnected | Reconnected | EpochReset | Lacking | RoomLost
# What the server tells besides what happens in rooms.
Personal: TypeAlias = Joined | Parted | Marked | Invited | Typists | Announcement
ClientEvent: TypeAlias = Message | Event | Presence | Personal | Notices


class EventQueue:
    """Events in order, for one reader. Bounded: `put` refuses what does not fit."""

    def __init__(self, on_low: Callable[[], None]) -> None:
        self._on_low = on_low  # called when there is room again after a refusal
        self._events: deque[tuple[ClientEvent, int]] = deque()
        self._bytes = 0
        self._refused = False
        self._waiter: asyncio.Future[None] | None = None
        self._ended: tuple[Callable[[], BaseException] | None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether an event was refused, and not enough was read since: nothing is to be put."""
        return self._refused

    def put(self, event: ClientEvent, size: int) -> bool:
        """Queue an event. Never waits; False when the queue is full."""
        if self._refused or len(self._events) >= MAX_EVENTS or self._bytes + size > MAX_BYTES:
            self._refused = True
            return False
        self._append(event, size)
        return True

    def put_notice(self, notice: Notices | Personal) -> None:
        """Queue a notice, also above the bound; of very many unread ones the later are dropped."""
        if len(self._events) < MAX_EVENTS + MAX_NOTICES:
            self._append(notice, 0)

    def put_passing(self, event: Personal) -> None:
        """Queue what is soon no longer true, unless much else waits to be read."""
        if len(self._events) < MAX_EVENTS // 2:
            self._append(event, 0)

    def _append(self, event: ClientEvent, size: int) -> None:
        self._events.append((event, size))
        self._bytes += size
        self._wake()

    def end(self, error: Callable[[], BaseException] | None) -> None:
        """Nothing follows: after what is queued the reader gets an error, or a plain end."""
        if self._ended is None:
            self._ended = (error,)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def get_nowait(self) -> ClientEvent | None:
        """The next event if one is there."""
        if not self._events:
            return None
        event, size = self._events.popleft()
        self._bytes -= size
        if self._refused and len(self._events) <= MAX_EVENTS // 2 and self._bytes <= MAX_BYTES // 2:
            self._refused = False
            self._on_low()
        return event

    async def get(self) -> ClientEvent:
        """The next event. Cancelling loses none.

        Raises:
            StopAsyncIteration: the client was closed.
            HubbubError: what ended the client.
        """
        if self._waiter is not None:
            raise RuntimeError("events are being read elsewhere: one reader at a time")
        while True:
            event = self.get_nowait()
            if event is not None:
                return event
            if self._ended is not None:
                if self._ended[0] is None:
                    raise StopAsyncIteration
                raise self._ended[0]()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

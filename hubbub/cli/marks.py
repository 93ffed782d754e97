"""Moves one's read marks as things are shown, at most once a second for each room."""

from __future__ import annotations

import asyncio

from hubbub.client import Client
from hubbub.errors import HubbubError
from hubbub.names import name_key

EVERY = 1.0  # seconds


class Marks:
    """The marks of one client. A room's moves only once all that was unread in it was shown."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._caught_up: set[str] = set()
        self._waiting: dict[str, int] = {}  # room: up to where it was shown
        self._wake = asyncio.Event()

    def catch_up(self, room: str) -> None:
        """All that was unread in the room has been shown, or there was nothing."""
        self._caught_up.add(name_key(room))

    def is_caught_up(self, room: str) -> bool:
        """Whether what happens in it is read as it is shown."""
        return name_key(room) in self._caught_up

    def forget(self, room: str) -> None:
        """It was left."""
        self._caught_up.discard(name_key(room))
        self._waiting.pop(room, None)

    def shown(self, room: str, seq: int) -> None:
        """An entry was shown."""
        if seq and self.is_caught_up(room):
            self._waiting[room] = max(seq, self._waiting.get(room, 0))
            self._wake.set()

    async def run(self) -> None:
        """Tell the server until cancelled."""
        while True:
            await self._wake.wait()
            await self.flush()
            await asyncio.sleep(EVERY)

    async def flush(self) -> None:
        """Tell it now. That a room is gone meanwhile, or the server, is no matter."""
        self._wake.clear()
        waiting, self._waiting = self._waiting, {}
        for room, seq in waiting.items():
            try:
                await self._client.read(room, seq)
            except HubbubError:
                continue

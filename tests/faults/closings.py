"""The keeper opens rooms that are closed after a while, and never opens one of that name again.

Whoever joins a room that is no more makes a new one. So nobody begins to join one that is about to
be closed, and all joins have an outcome by then; what is said there goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from tests.faults.devices import Device
from tests.faults.notes import Notes, passes
from tests.faults.people import STALL, People, Wish


class Closings:
    """Those of one chat.

    Args:
        keeper: the device of the keeper, when there is one.
        every: seconds that a room is open, about.

    Attributes:
        is_settled: no room is being opened or closed.
    """

    def __init__(
        self,
        notes: Notes,
        people: People,
        keeper: Callable[[], Device | None],
        random: Random,
        every: float,
    ) -> None:
        self._notes = notes
        self._people = people
        self._keeper = keeper
        self._random = random
        self._every = every
        self._count = 0
        self.is_settled = True

    async def live(self, quiet: asyncio.Event) -> None:
        """Open one after the other, until all are to be quiet: the last one stays open."""
        while not quiet.is_set():
            self.is_settled = False
            self._count += 1
            room = f"{STALL}{self._count}"
            await self._until_done(Wish("join", room))
            self._people.stall = room
            self.is_settled = True
            await passes(quiet, self._every * (0.5 + self._random.random()))
            if not quiet.is_set():
                self.is_settled = False
                await self._close(room)
                self.is_settled = True

    async def _close(self, room: str) -> None:
        self._people.stall = ""
        while self._notes.joining[room]:
            await asyncio.sleep(0.1)  # poll
        if room not in self._notes.unsure:  # else somebody may join it still
            self._people.closed.add(room)
            await self._until_done(Wish("close", room, self._people.text()))

    async def _until_done(self, wish: Wish) -> None:
        while True:
            keeper = self._keeper()
            request = await keeper.ask(wish) if keeper is not None else None
            # A room that is no more when it is closed again was closed by what nobody could say.
            if request is not None and (request.is_done or request.is_refused):
                return
            await asyncio.sleep(0.5)  # between tries

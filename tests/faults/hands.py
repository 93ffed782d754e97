"""Accounts on bare connections: they are cut, resume at another gateway, and ask again, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from tests.faults.connections import Connection, dial
from tests.faults.notes import QUIET, Notes, Request, passes
from tests.faults.people import MOVES, PIT, People, Person, Wish
from tests.native import AnsweredError, ClosedError
from tests.support import Address

NOT_NOW = (AnsweredError, ClosedError, OSError, TimeoutError)
STAYS = 4.0  # seconds at most that it keeps a connection of its own will
ANSWERS_WITHIN = 25.0  # seconds: a gateway says `unknown` after 20
RESUMES = 0.6  # of the connections; the others log in
AGAIN = 0.1  # of the acts ask again for what was answered long ago
TWICE = 0.15  # of the acts ask at two gateways at once
LONG = "ਅ" * 3900  # three bytes each: a frame of 12 KiB
FLOOD = 250  # such frames: more than an outbox and all buffers between take


class Hand:
    """One bare device of an account.

    Args:
        addresses: of the gateways.
        pause: seconds between two acts, about.

    Attributes:
        connection: the one that it has, or had last.
    """

    def __init__(
        self,
        notes: Notes,
        people: People,
        person: Person,
        addresses: Sequence[Address],
        name: str,
        *,
        random: Random,
        pause: float,
    ) -> None:
        self.person = person
        self.name = name
        self.connection: Connection | None = None
        self._notes = notes
        self._people = people
        self._addresses = addresses
        self._random = random
        self._pause = pause
        self._count = 0
        self._stays = False  # it does nothing more of its own will
        self._unsure: list[Request] = []

    async def live(self, quiet: asyncio.Event) -> None:
        """Connect again and again; once all are to be quiet, it keeps the connection it has."""
        while True:
            connection = await self._connect(self.connection)
            if connection is None:
                await asyncio.sleep(0.1 + 0.2 * self._random.random())  # whoever dials pauses
                continue
            self.connection = connection
            self._ask_again(connection)
            await self._use(connection, quiet)
            if quiet.is_set():
                self._stays = True
                while not await connection.ends(0.5):
                    self._ask_again(connection)
            connection.abort()
            await connection.ends()

    async def _connect(self, before: Connection | None, *, deaf: bool = False) -> Connection | None:
        """One more connection, at any gateway; None when there is none to be had now."""
        self._count += 1
        connection = None
        try:
            client = await dial(self._random.choice(self._addresses), deaf=deaf)
            name = f"{self.name}#{self._count}"
            connection = Connection(
                client, self._notes, self._people, self.person, name, self._is_unsure
            )
            if before is not None and before.token and self._random.random() < RESUMES:
                await connection.resume(before.token, before.epoch, before.cursors)
            else:
                await connection.login()
        except NOT_NOW as error:
            if isinstance(error, AnsweredError) and error.code == "epoch_changed":
                self._notes.find(f"{self.name} could not resume: {error}")
            if connection is not None:
                connection.abort()
                await connection.ends()
            if before is not None:
                before.token = ""  # the next one logs in
            return None
        return connection

    # --- asking again ---------------------------------------------------------------------------

    def _is_unsure(self, request: Request) -> None:
        # Whoever comes and goes means a time: that is not asked for again.
        if request.wish.op not in MOVES:
            self._unsure.append(request)

    def _ask_again(self, connection: Connection) -> None:
        """All that has no outcome, in the old order, before anything new."""
        unsure = list({request.id: request for request in self._unsure}.values())
        self._unsure = []
        for number, request in enumerate(unsure):
            if connection.ask(request.wish, request.id) is None:
                self._unsure = unsure[number:]
                return

    @property
    def is_settled(self) -> bool:
        """Whether it does nothing more, and has a connection on which nothing is to come."""
        connection = self.connection
        if connection is None or connection.is_closed or self._unsure or not self._stays:
            return False
        return not connection.behind and not connection.pending

    # --- what it does ---------------------------------------------------------------------------

    async def _use(self, connection: Connection, quiet: asyncio.Event) -> None:
        end = self._notes.now() + STAYS * self._random.random()
        while not quiet.is_set() and self._notes.now() < end:
            if await connection.ends(self._pause * (0.5 + self._random.random())):
                return
            self._ask_again(connection)
            await self._act(connection)

    async def _act(self, connection: Connection) -> None:
        number = self._random.random()
        if number < AGAIN and self.person.lines:
            line = self._random.choice(self.person.lines)
            connection.ask(Wish("say", line.room, line.text), line.id)
            return
        wishes = self._people.wishes(self.person, sorted(connection.cursors), self._random)
        if number > 1 - TWICE and wishes and wishes[0].op == "say":
            await self._twice(connection, wishes[0])
            return
        for wish in wishes:
            if wish.op not in QUIET:
                connection.ask(wish)

    async def _twice(self, connection: Connection, wish: Wish) -> None:
        """The same id here and at another gateway, at once or one after the other."""
        other = await self._connect(None)
        if other is None:
            return
        request = connection.ask(wish)
        if request is not None:
            if self._random.random() < 0.3:
                await connection.settled(ANSWERS_WITHIN)
            other.ask(wish, request.id)
            await other.settled(ANSWERS_WITHIN)
        other.abort()
        await other.ends()

    async def flood(self) -> None:
        """Say so much in the pit that whoever does not read it falls behind."""
        connection = await self._connect(None)
        if connection is None:
            return
        await enter(connection, PIT)
        for _ in range(FLOOD):
            connection.ask(Wish("say", PIT, f"{self._people.text()} {LONG}"))
        await connection.settled(ANSWERS_WITHIN)
        connection.abort()
        await connection.ends()


class SlowHand(Hand):
    """One that stops reading while much is said, is told that it is behind, and catches up.

    Args:
        stoker: says it.
        every: seconds between two such times, about.
    """

    def __init__(
        self,
        notes: Notes,
        people: People,
        person: Person,
        addresses: Sequence[Address],
        name: str,
        *,
        random: Random,
        stoker: Hand,
        every: float,
    ) -> None:
        super().__init__(notes, people, person, addresses, name, random=random, pause=every)
        self._stoker = stoker

    async def live(self, quiet: asyncio.Event) -> None:
        """Connect; now and then be deaf for a while; once all are quiet, keep the connection."""
        while True:
            connection = await self._connect(None, deaf=True)
            if connection is None:
                await asyncio.sleep(0.1 + 0.2 * self._random.random())  # whoever dials pauses
                continue
            self.connection = connection
            while not quiet.is_set() and not connection.is_closed:
                await self._be_deaf(connection)
                await passes(quiet, self._pause * (0.5 + self._random.random()))
            self._stays = quiet.is_set()
            await connection.ends()

    async def _be_deaf(self, connection: Connection) -> None:
        await enter(connection, PIT)
        if connection.is_closed:
            return
        connection.client.transport.pause_reading()
        try:
            await self._stoker.flood()
        finally:
            if not connection.is_closed:
                connection.client.transport.resume_reading()


async def enter(connection: Connection, room: str) -> None:
    """Be in a room, if that can be."""
    if room not in connection.cursors and connection.ask(Wish("join", room)) is not None:
        await connection.settled(ANSWERS_WITHIN)

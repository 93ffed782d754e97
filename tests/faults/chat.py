"""People who chat as people do, on every kind of client, and note everything that they see.

Accounts with two devices each, guests, bare connections that retry and resume by hand, one that
reads slowly, and a keeper, who has the private rooms and operates the cluster. Faults may happen
meanwhile: nobody waits for ever, and nobody looks away. The verdict is the checker's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from tests.faults.closings import Closings
from tests.faults.cold import Cold, read_rosters, read_told
from tests.faults.devices import Device
from tests.faults.ending import be_here, say_last, standings, until_shown
from tests.faults.hands import Hand, SlowHand
from tests.faults.history import History, Phase
from tests.faults.notes import Notes
from tests.faults.people import HALL, PIT, PRIVATE, PUBLIC, People, Person, Wish
from tests.faults.suspensions import Suspensions
from tests.support import Address, eventually, slack

FLOOD_EVERY = 45.0  # seconds, about, between times at which one reads slowly
SUSPEND_EVERY = 20.0  # seconds, about
CLOSE_EVERY = 15.0  # seconds, about
COMES_WITHIN = 60.0  # seconds for everybody to come at first
ENDS_WITHIN = 95.0  # seconds for the last outcome: the client library gives up after 60
SHOWN_WITHIN = 30.0  # seconds until everybody was shown the last line
PRESENT_WITHIN = 15.0  # seconds until everybody is present: who was cut off counts as there for 5


class Chat:
    """All of them: `async with Chat(...) as chat`, `begin`, `finish`.

    Args:
        servers: HOST:PORT of each gateway, gateway-1 first.
        clock: seconds since the run began.
        people: accounts, besides the keeper.
        hands: how many of them have a bare connection; the keeper has one as well.
        rate: requests a second, about, over all.
        operator_key: makes the keeper an operator of the cluster.

    Attributes:
        notes: what was noted, and what was found wrong by those who took part.
    """

    def __init__(
        self,
        servers: Sequence[str],
        history: History,
        *,
        seed: int,
        clock: Callable[[], float],
        operator_key: str,
        people: int = 6,
        guests: int = 6,
        hands: int = 2,
        rate: float = 60.0,
        suspend_every: float = SUSPEND_EVERY,
        flood_every: float = FLOOD_EVERY,
        close_every: float = CLOSE_EVERY,
    ) -> None:
        self.notes = Notes(history, clock)
        self.people = People(people, guests)
        self.devices: list[Device] = []  # that are there
        self._servers = list(servers)
        self._seed = seed
        self._key = operator_key
        # Two devices of each account, one of each other, and hands: they want as much a second.
        self._pause = (2 * people + guests + 1 + hands + 1) / rate
        self._numbers: Counter[str] = Counter()
        self._go = asyncio.Event()
        self._quiet = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._acting: set[asyncio.Task[None]] = set()
        self._hands = self._make_hands(hands, flood_every)
        self._suspensions = Suspensions(
            self.notes, self.people, self._keeper, self._random("order"), suspend_every
        )
        self._closings = Closings(
            self.notes, self.people, self._keeper, self._random("closings"), close_every
        )

    def _random(self, what: str) -> Random:
        return Random(f"{self._seed} {what}")

    @property
    def _addresses(self) -> list[Address]:
        parts = [server.rpartition(":") for server in self._servers]
        return [(host, int(port)) for host, _, port in parts]

    def _make_hands(self, count: int, flood_every: float) -> list[Hand]:
        people, notes = self.people, self.notes
        owners = [people.keeper, *people.accounts[:count]]
        hands = [
            Hand(
                notes,
                people,
                person,
                self._addresses,
                f"{person.name}.hand",
                random=self._random(f"{person.name}.hand"),
                pause=self._pause,
            )
            for person in owners
        ]
        last = people.accounts[-1]
        slow = SlowHand(
            notes,
            people,
            last,
            self._addresses,
            f"{last.name}.slow",
            random=self._random("slow"),
            stoker=hands[-1],
            every=flood_every,
        )
        return [*hands, slow]

    # --- coming ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Chat:
        try:
            await self._come()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _come(self) -> None:
        keeper = await self._first(self.people.keeper, 0)
        await keeper.client.promote(self.people.keeper.name, key=self._key)
        for room in (*PUBLIC, PIT, *PRIVATE):
            await keeper.do(Wish("join", room))
        for number, person in enumerate([*self.people.accounts, *self.people.guests]):
            await self._first(person, number)
        for number, person in enumerate(self.people.accounts):
            await self._first(person, number + 1)
        for device in list(self.devices):
            if HALL not in device.inside:
                await device.do(Wish("join", HALL))
        for hand in self._hands:
            self._start(self._when_all_go(hand))
        self._start(self._when_all_go(self._suspensions))
        self._start(self._when_all_go(self._closings))

    async def _first(self, person: Person, gateway: int) -> Device:
        """A place of somebody, which is at that gateway at first; its first device."""
        before = len(self.devices)
        self._start(self._place(person, gateway))
        what = f"{person.name} comes"
        await eventually(lambda: len(self.devices) > before, COMES_WITHIN, what=what)
        return self.devices[-1]

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._is_over)
        return task

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.notes.find(f"a part of the chat itself has failed: {error!r}")

    async def _when_all_go(self, who: Hand | Suspensions | Closings) -> None:
        await self._go.wait()
        await who.live(self._quiet)

    async def _place(self, person: Person, gateway: int) -> None:
        """Where somebody has a device; should it end, it has another one some time."""
        at = gateway % len(self._servers)
        servers = [*self._servers[at:], *self._servers[:at]]
        random = self._random(f"{person.name} {gateway}")
        while True:
            self._numbers[person.name] += 1
            name = f"{person.name}.{self._numbers[person.name]}"
            device = Device(self.notes, self.people, person, servers, name)
            running = asyncio.create_task(device.run(), name=name)
            try:
                if await device.open:
                    self.devices.append(device)
                    await self._go.wait()
                    await self._act(device, random)
                await asyncio.wait([running])
            finally:
                running.cancel()
                await asyncio.wait([running])
                if device in self.devices:
                    self.devices.remove(device)
            await asyncio.sleep(0.2 + 0.3 * random.random())  # whoever dials pauses

    async def _act(self, device: Device, random: Random) -> None:
        acting = asyncio.create_task(device.act(self._pause, random, self._quiet))
        self._acting.add(acting)
        try:
            await asyncio.wait([acting])  # which may have been cancelled: it took too long
            if not acting.cancelled() and (error := acting.exception()) is not None:
                self.notes.find(f"what {device.name} did has failed: {error!r}")
        finally:
            acting.cancel()
            self._acting.discard(acting)

    def _keeper(self) -> Device | None:
        keepers = [device for device in self.devices if device.person is self.people.keeper]
        return keepers[0] if keepers else None

    async def __aexit__(self, *_: object) -> None:
        self.notes.complete()
        self._quiet.set()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for hand in self._hands:
            if hand.connection is not None:
                hand.connection.abort()
                await hand.connection.ends()

    # --- going on -------------------------------------------------------------------------------

    @property
    def findings(self) -> list[str]:
        """What is wrong whatever the checker says of the history: sentences."""
        return self.notes.findings

    def begin(self) -> None:
        """Everybody does things from now on, until `finish`."""
        self._go.set()

    async def goes_on(self, acts: int, within: float = 30.0) -> None:
        """Wait until so many more requests have had an outcome.

        Raises:
            AssertionError: not within so many seconds (times slack).
        """
        goal = self.notes.acts + acts
        await eventually(lambda: self.notes.acts >= goal, within, what=f"{acts} more acts")

    # --- the end --------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Nobody begins anything more; what was done is settled and read anew.

        What cannot be settled in time is left as it is: the checker says so.
        """
        self._quiet.set()
        if self._acting:
            _, late = await asyncio.wait(self._acting, timeout=slack(ENDS_WITHIN))
            for task in late:
                self.notes.find("a device had acts without an outcome at the end")
                task.cancel()
        await self._waits(self._suspensions.all_are_in_again, ENDS_WITHIN)
        await self._waits(lambda: self._closings.is_settled, ENDS_WITHIN)
        await self._waits(lambda: len(self.devices) == self._places, SHOWN_WITHIN)
        await self._waits(lambda: all(hand.is_settled for hand in self._hands), SHOWN_WITHIN)
        await be_here(self.devices)
        last = await say_last(self.notes, self.people, self.devices)
        await until_shown(self.devices, self._hands, last, SHOWN_WITHIN)
        await standings(self.notes, self.devices)
        await read_rosters(self.notes, self._addresses, self._present, PRESENT_WITHIN)
        self._suspensions.judge()
        self.notes.note(Phase(self.notes.now(), "settled"))
        rooms = {*PUBLIC, PIT, *PRIVATE, *last}
        await read_told(self.notes, self.people, self._addresses, rooms)
        await Cold(self.notes, self.people, self._addresses).read(rooms)
        self.notes.complete()

    @property
    def _places(self) -> int:
        return 1 + 2 * len(self.people.accounts) + len(self.people.guests)

    async def _waits(self, check: Callable[[], bool], within: float) -> bool:
        """Whether it was true in time."""
        try:
            await eventually(lambda: check() or None, within, what="the chat settles")
        except AssertionError:
            return False
        return True

    def _present(self) -> set[str]:
        """Who is in the hall and connected, as a roster shows them."""
        return {
            f"{device.client.name} here"
            for device in self.devices
            if device.connected and HALL in device.inside
        }

"""The keeper suspends accounts at times, and lets them in again; and whether that was soon enough.

“A suspension ends every live session on every gateway within 2 s.” A gateway that is frozen or cut
off cannot know of it: what is later counts where no fault was going on, nor had just been.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random

from tests.faults.devices import Device
from tests.faults.history import AnyRecord, Back, Client, Cut, Fault, Over
from tests.faults.notes import Notes, passes
from tests.faults.people import People, Person, Wish
from tests.support import slack

OUT_WITHIN = 2.0  # seconds
HEALED_AFTER = 10.0  # seconds after a fault
STAYS_OUT = 3.0  # seconds that a suspension lasts at least


class Suspensions:
    """Those of one chat.

    Args:
        keeper: the device of the keeper, when there is one.
        every: seconds between two, about.
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
        self._told: list[tuple[float, str]] = []  # when a suspension was acknowledged, whose

    async def live(self, quiet: asyncio.Event) -> None:
        """Suspend somebody now and then, until all are to be quiet; then all are in again."""
        pause = min(2.0, self._every)
        while not quiet.is_set():
            await passes(quiet, pause)
            if not quiet.is_set():
                await self._shut_out(self._random.choice(self._people.accounts), quiet)
            pause = self._every * (0.5 + self._random.random())

    async def _shut_out(self, person: Person, quiet: asyncio.Event) -> None:
        keeper = self._keeper()
        if keeper is None:
            return
        person.suspended = True
        name = person.called  # if it has another one by now nobody is shut out; else it keeps this
        request = await keeper.ask(Wish("suspend", text="spam", whom=name))
        if request is not None and request.is_done:
            self._told.append((self._notes.now(), person.name))
            await passes(quiet, STAYS_OUT)
        if request is None or not request.is_refused:
            await self._let_in(name)
        person.suspended = False

    async def _let_in(self, name: str) -> None:
        while True:
            keeper = self._keeper()
            wish = Wish("unsuspend", whom=name)
            request = await keeper.ask(wish) if keeper is not None else None
            if request is not None and (request.is_done or request.is_refused):
                return
            await asyncio.sleep(0.5)  # between tries

    def all_are_in_again(self) -> bool:
        """Whether nobody is suspended."""
        return not any(person.suspended for person in self._people.accounts)

    def judge(self) -> None:
        """Find sessions that outlived a suspension, by what was noted."""
        # Of a night there are millions, and while they are read nobody answers for his device.
        kinds = Client, Back, Cut, Over, Fault
        last = self._notes.records[-1:]
        records = [*(each for each in self._notes.records if isinstance(each, kinds)), *last]
        for told, person in self._told:
            for text in late(records, told, person):
                self._notes.find(text)


def late(records: Iterable[AnyRecord], told: float, person: str) -> list[str]:
    """Connections of somebody that lived on after a suspension was acknowledged.

    Args:
        told: when it was, in seconds.
    """
    live: set[str] = set()
    owners: dict[str, str] = {}
    ended: dict[str, float] = {}
    faults: list[Fault] = []
    end = told
    for record in records:
        end = max(end, record.at)
        match record:
            case Client():
                owners[record.client] = record.person
                if record.at < told:
                    live.add(record.client)
            case Back() if record.at < told:
                live.add(record.client)
            case Cut() | Over() if record.at < told:
                live.discard(record.client)
            case Cut() | Over():
                ended.setdefault(record.client, record.at)
            case Fault():
                faults.append(record)
    found = []
    for client in sorted(live):
        if owners[client] != person:
            continue
        over = ended.get(client, end)
        if over > _deadline(faults, told, over):
            found.append(f"{client} lived on for {over - told:.1f} s after its suspension")
    return found


def _deadline(faults: Iterable[Fault], told: float, over: float) -> float:
    """Until when a session may live: 2 s after it was told, or after the last trouble by then."""
    since = told
    for fault in faults:
        end = max(fault.at, fault.until)
        if fault.at <= over and end + slack(HEALED_AFTER) > told:
            since = max(since, end + slack(HEALED_AFTER))
    return since + slack(OUT_WITHIN)

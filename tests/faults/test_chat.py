"""The chat on real clusters: a calm one, and two of which a process dies.

What is tried here is that everything is done and noted; what it proves is the checker's to say.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from tests.faults.chat import Chat
from tests.faults.checker import check
from tests.faults.history import AnyRecord, Back, Client, Cut, Fault, History, Over, Phase
from tests.faults.notes import brief
from tests.faults.people import PRIVATE, People, conversation
from tests.faults.suspensions import late
from tests.fixtures import ClusterFactory
from tests.support import Cluster, Process, passing, slack

OPS = {
    "say",
    "edit",
    "delete",
    "react",
    "unreact",
    "join",
    "leave",
    "read",
    "typing",
    "away",
    "topic",
    "close",
    "private",
    "public",
    "invite",
    "kick",
    "ban",
    "unban",
    "nick",
    "role",
    "mute",
    "unmute",
    "suspend",
    "unsuspend",
}
RECORDS = {
    "Client",
    "Asked",
    "Answered",
    "Refused",
    "Entered",
    "Shown",
    "Out",
    "Cut",
    "Back",
    "Over",
    "Phase",
    "Kept",
    "Room",
    "Standing",
    "Roster",
    "Told",
}


async def start(make_cluster: ClusterFactory, **settings: float) -> Cluster:
    """A cluster on which nobody is told to ask more slowly."""
    rates = {"say_rate": 0, "change_rate": 0, "read_rate": 0, "accounts_per_address": 1000}
    options: dict[str, Any] = {**rates, **settings}
    return await make_cluster(gateways=3, workers=2, **options)


class Run:
    """One chat on a cluster, its history, and the time since it began."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.history = History()
        self._began = time.monotonic()
        self.chat = Chat(
            [cluster.server(number) for number in range(len(cluster.gateways))],
            self.history,
            seed=1,
            clock=self.now,
            operator_key=(cluster.data / "operator.key").read_text().strip(),
            suspend_every=4.0,
            flood_every=4.0,
            close_every=4.0,
        )

    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def phase(self, name: str) -> None:
        """Note a phase."""
        self.history.note(Phase(self.now(), name))

    async def goes(self, hurt: Callable[[], Awaitable[None]] | None = None) -> None:
        """From the first to the last; whatever is hurt meanwhile."""
        async with self.chat as chat:
            self.phase("calm")
            chat.begin()
            await chat.goes_on(300)
            if hurt is not None:
                self.phase("faults")
                await hurt()
            self.phase("healing")
            await chat.goes_on(300)
            await chat.finish()

    async def dies(self, process: Process, seconds: float) -> None:
        """Kill a process, and start it again after so many seconds."""
        began = self.now()
        process.kill()
        await passing(seconds)
        await self.cluster.restart(process)
        self.history.note(Fault(began, "kill", process.name, self.now()))

    def faults(self) -> list[str]:
        """All that is wrong."""
        verdict = check(self.history.records, heal_within=slack(10))
        return [*self.chat.findings, *map(str, verdict.findings)]


async def test_in_a_calm_chat_everything_is_done_and_noted_and_all_of_it_is_exact(
    make_cluster: ClusterFactory,
) -> None:
    """Every kind of request was acknowledged, every kind of record is there."""
    run = Run(await start(make_cluster))
    async with run.chat as chat:
        run.phase("calm")
        chat.begin()
        await chat.goes_on(300)
        done, behind = chat.notes.done, chat.notes.behind
        # As long as it takes for the rarest.
        while not (done.keys() >= OPS and behind["resumed"] and behind["slow"]):
            await chat.goes_on(50)
        run.phase("healing")
        await chat.finish()
    assert run.faults() == []
    kinds = Counter(type(record).__name__ for record in run.history.records)
    assert kinds.keys() >= RECORDS
    assert chat.notes.again > 0
    asked_again = check(run.history.records).counts["asked again"]
    assert asked_again > 0


@pytest.mark.long
async def test_a_chat_stays_exact_when_each_gateway_dies(make_cluster: ClusterFactory) -> None:
    """Its people come back elsewhere, and ask again what was not answered."""
    run = Run(await start(make_cluster))

    async def all_die() -> None:
        for gateway in run.cluster.gateways:
            await run.dies(gateway, 0.5)
            await run.chat.goes_on(50)

    await run.goes(all_die)
    assert run.faults() == []
    backs = [record for record in run.history.records if isinstance(record, Back)]
    library = {
        record.client
        for record in run.history.records
        if isinstance(record, Client) and not record.exact
    }
    assert any(back.resumed and back.client in library for back in backs)


@pytest.mark.long
async def test_a_chat_stays_exact_when_the_active_worker_dies(
    make_cluster: ClusterFactory,
) -> None:
    """Another takes over; what was asked meanwhile is answered."""
    run = Run(await start(make_cluster))
    await run.goes(lambda: run.dies(run.cluster.active_worker, 1.0))
    assert run.faults() == []


@pytest.mark.long
async def test_a_chat_stays_exact_when_all_sessions_are_over_meanwhile(
    make_cluster: ClusterFactory,
) -> None:
    """Accounts log in again; guests are somebody else from then on."""
    run = Run(await start(make_cluster, resume_within=1.0, left_after=0.5))

    async def all_die() -> None:
        await asyncio.gather(*(run.dies(gateway, 3.0) for gateway in run.cluster.gateways))
        await run.chat.goes_on(100)

    await run.goes(all_die)
    assert run.faults() == []
    guests = {guest.name for guest in run.chat.people.guests}
    clients = [record for record in run.history.records if isinstance(record, Client)]
    numbers = {(each.person, each.sender) for each in clients if each.person in guests}
    assert len(numbers) > len(guests)


@pytest.mark.long
async def test_a_chat_ends_and_is_found_wanting_when_nobody_answers_any_more(
    make_cluster: ClusterFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever: what is missing is for the checker, and for the findings, to say."""
    for name in ("ENDS_WITHIN", "SHOWN_WITHIN", "PRESENT_WITHIN"):
        monkeypatch.setattr(f"tests.faults.chat.{name}", 1.0)
    monkeypatch.setattr("tests.faults.cold.TRIES_FOR", 1.0)
    monkeypatch.setattr("tests.faults.ending.LAST_WITHIN", 1.0)
    run = Run(await start(make_cluster))
    async with run.chat as chat:
        chat.begin()
        await chat.goes_on(100)
        for gateway in run.cluster.gateways:
            gateway.kill()
        await chat.finish()
    assert any("nobody could read hall after all" in each for each in chat.findings)
    assert any("nothing can be said in hall after all" in each for each in chat.findings)


# --- its parts ----------------------------------------------------------------------------------


def test_a_long_text_is_noted_by_its_digest_and_a_short_one_as_it_is() -> None:
    """Two that differ anywhere are noted differently."""
    assert brief("short") == "short"
    long = "x" * 5000
    assert len(brief(long)) < 100
    assert brief(long) != brief(long[:-1] + "y")


def test_the_same_seed_wants_the_same_things() -> None:
    """“Seeded, reproducible.”"""

    def wishes(seed: int) -> list[object]:
        people, random = People(3, 2), Random(seed)
        for number, person in enumerate(people.everybody, 1):
            person.sender = number
        return [people.wishes(people.accounts[0], ["hall"], random) for _ in range(200)]

    assert wishes(1) == wishes(1)
    assert wishes(1) != wishes(2)


def test_nobody_but_accounts_is_asked_into_private_rooms() -> None:
    """Guests leave no trace in a log, so nobody could say when they were in."""
    people, random = People(3, 3), Random(1)
    guests = {guest.name for guest in people.guests}
    orders = [wish for _ in range(2000) for wish in people.wishes(people.keeper, ["hall"], random)]
    private = [wish for wish in orders if wish.room in PRIVATE and wish.whom]
    assert {wish.op for wish in private} >= {"invite", "kick", "ban"}
    assert not any(wish.whom in guests for wish in private)


def test_a_conversation_has_the_lower_number_first_whoever_names_it() -> None:
    """The name is the same for both."""
    people = People(2, 0)
    one, other = people.accounts
    one.sender, other.sender = 7, 3
    assert people.canonical("@p1", one.sender) == people.canonical("@p0", other.sender) == "@3:7"
    assert people.canonical("hall", one.sender) == "hall"
    assert conversation(3, 7) == people.canonical("@3:7", 7)


def test_a_session_that_outlives_a_suspension_is_found_unless_a_fault_explains_it() -> None:
    """“A suspension ends every live session on every gateway within 2 s.”"""
    told, end = 1000.0, slack(2.0)
    came: list[AnyRecord] = [
        Client(1.0, "a.1", "a", 5),
        Client(1.0, "b.1", "b", 6),
        Client(1.0, "a.2", "a", 5),
        Cut(999.0, "a.2"),  # it had no connection then
    ]
    in_time, too_late = Over(told + 0.9 * end, "a.1"), Over(told + 1.1 * end, "a.1")
    assert late([*came, in_time], told, "a") == []
    assert len(late([*came, too_late], told, "a")) == 1
    assert len(late([*came, Cut(told + 99.0, "b.1")], told, "a")) == 1  # it never ended
    back = Back(999.5, "a.2", "gateway-1", True)
    assert len(late([*came, back, in_time, Phase(told + 99.0, "settled")], told, "a")) == 1
    frozen, long_ago = Fault(998.0, "freeze", "gateway-1", 1001.0), Fault(1.0, "kill", "worker-1")
    assert late([*came, frozen, too_late], told, "a") == []
    assert len(late([*came, long_ago, too_late], told, "a")) == 1

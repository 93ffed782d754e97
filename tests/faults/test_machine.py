"""Each kind of fault does what it says to a real cluster, and leaves what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given, strategies as st

import hubbub
from hubbub.errors import OutcomeUnknown, Refused, Unreachable
from tests.faults.cluster import FaultyCluster
from tests.faults.control import POINTS, REFUSALS
from tests.faults.history import Fault, History
from tests.faults.machine import Machine, shape_of
from tests.faults.schedule import ACTIVE, ALL, MAKERS, Schedule, Shape, Step
from tests.native import RawClient
from tests.support import eventually, slack
from worker.lease import BEAT_EVERY, BEAT_FILE

SHAPE = Shape(
    ["gateway-1", "gateway-2"],
    ["broker-1", "broker-2"],
    ["worker-1", "worker-2"],
    ["clients gateway-1", "bus gateway-1 broker-1", "bus worker-1 broker-2"],
)


# --- schedules ------------------------------------------------------------------------------------


@given(st.integers(), st.floats(1, 500))
def test_a_seed_gives_the_same_schedule_in_its_time_with_one_fault_a_target(
    seed: int, seconds: float
) -> None:
    schedule = Schedule.make(seed, seconds, SHAPE)
    assert schedule == Schedule.make(seed, seconds, SHAPE)
    for number, step in enumerate(schedule.steps):
        assert step.until <= seconds
        for other in schedule.steps[:number]:
            together = step.at < other.until and other.at < step.until
            alone = step.target == other.target or ALL in (step.target, other.target)
            assert not (together and alone)


def test_every_kind_of_fault_is_chosen_within_half_an_hour() -> None:
    for seed in range(20):
        chosen = {step.what for step in Schedule.make(seed, 1800, SHAPE).steps}
        assert chosen == set(MAKERS), seed


def test_a_soak_kills_once_a_minute_and_does_nothing_else() -> None:
    steps = Schedule.soak(1, 600, SHAPE).steps
    assert [round(step.at) for step in steps] == list(range(30, 600, 60))[: len(steps)]
    assert {step.what for step in steps} == {"kill"}
    assert len(steps) >= 9


def test_a_soak_kills_everything_and_of_each_kind_something_lives_for_most_of_it() -> None:
    steps = Schedule.soak(1, 6000, SHAPE).steps
    assert {step.target for step in steps} == {*SHAPE.processes}
    early = {step.target for step in steps if step.at < 5000}
    for kind in (SHAPE.gateways, SHAPE.brokers, SHAPE.workers):
        assert {*kind} - early


# --- a real cluster -------------------------------------------------------------------------------


class Talk:
    """Somebody who says lines through gateway 1, and somebody who is shown them at gateway 2."""

    def __init__(self, cluster: FaultyCluster) -> None:
        self.cluster = cluster
        self.history = History()
        self.machine = Machine(cluster, self.history, clock=asyncio.get_running_loop().time)
        self.acked: dict[str, int] = {}
        self.said = 0

    async def hurt(
        self, what: str, target: str, lasts: float, how: str = "", amount: float = 0.0
    ) -> None:
        """Do one thing to the cluster while lines are said, heal it, and compare."""
        servers = [self.cluster.server(0), self.cluster.server(1)]
        async with (
            hubbub.connect(*servers, name="Ann") as ann,
            hubbub.connect(*reversed(servers), name="Bob") as bob,
        ):
            await ann.join("den")
            await bob.join("den")
            step = Step(0.0, lasts, what, target, how, amount)
            machine = asyncio.create_task(self.machine.run(Schedule(0, lasts, [step])))
            while not machine.done():
                await self._say(ann)
            await machine
            await self.machine.heal_all()
            await self._say(ann)
            await eventually(lambda: self._last(bob), 20, what="the last line is shown")
            page = await bob.history("den", after=0, limit=500)
            kept = {e.text: e.seq for e in page.events if isinstance(e, hubbub.Message)}
            numbers = [event.seq for event in page.events]
        assert numbers == list(range(1, len(numbers) + 1))
        assert {text: kept.get(text) for text in self.acked} == self.acked
        assert self.machine.unexpected(self.cluster.troubles()) == []

    async def _say(self, client: hubbub.Client) -> None:
        self.said += 1
        text = f"line {self.said}"
        try:
            async with asyncio.timeout(slack(40)):
                self.acked[text] = (await client.say("den", text)).seq
        except (Refused, OutcomeUnknown, Unreachable):
            await asyncio.sleep(0.05)  # the database is away: a pause before the next line

    def _last(self, client: hubbub.Client) -> bool:
        view = client.state("den")
        return view is not None and view.head >= max(self.acked.values())

    def faults(self) -> list[str]:
        """What was noted."""
        return [each.what for each in self.history.records if isinstance(each, Fault)]


@pytest_asyncio.fixture
async def talk() -> AsyncIterator[Talk]:
    """A cluster of two of each."""
    cluster = FaultyCluster(gateways=2, brokers=2, workers=2, say_rate=0)
    try:
        await cluster.start()
        yield Talk(cluster)
    finally:
        await cluster.close()
        cluster.remove()


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_dies_at_any_point_of_a_turn_loses_nothing(
    talk: Talk, point: str
) -> None:
    worker = talk.cluster.active_worker
    await talk.hurt("crash", ACTIVE, 0.5, point, 2)
    assert talk.faults() == [f"crash {point}"]
    assert talk.cluster.control_of(worker).crashed.read_text() == point
    assert talk.cluster.active_worker is not worker


@pytest.mark.parametrize("point", ["after_commit", "after_publish"])
async def test_what_was_refused_is_not_done_after_what_was_said_later(
    talk: Talk, point: str
) -> None:
    """The owner dies before anybody is answered; its successor is asked all of it again."""
    cluster = talk.cluster
    client = await RawClient.open(("127.0.0.1", cluster.port(0)), "Ann")
    cluster.control_of(cluster.active_worker).wish(crash=point)
    answers = client.send_all(
        {"t": "say", "room": "den", "text": "too early", "id": os.urandom(16)},
        {"t": "join", "room": "den", "id": os.urandom(16)},
        {"t": "say", "room": "den", "text": "in time", "id": os.urandom(16)},
    )
    async with asyncio.timeout(slack(20)):
        refused, joined, said = await asyncio.gather(*answers)
    assert len([worker for worker in cluster.workers if not worker.alive]) == 1
    assert (refused["t"], joined["t"], said["t"]) == ("error", "roster", "ok")
    assert refused["code"] == "not_allowed"
    await client.say("den", "later")
    texts = [each["text"] for each in await client.log("den") if each["t"] == "message"]
    assert texts == ["in time", "later"]
    client.abort()


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_database_that_refuses_loses_nothing_that_was_acknowledged(
    talk: Talk, how: str
) -> None:
    await talk.hurt("refuse", ACTIVE, 1.0, how)
    worker = talk.cluster.active_worker
    assert "_failed" in "".join(text for name, text in talk.cluster.outputs() if "worker" in name)
    assert worker.alive


async def test_a_full_disk_loses_nothing_that_was_acknowledged(talk: Talk) -> None:
    await talk.hurt("disk_full", ACTIVE, 2.0)
    assert "_failed" in "".join(text for name, text in talk.cluster.outputs() if "worker" in name)


async def test_a_worker_that_could_not_write_its_beat_beats_on_when_it_can(talk: Talk) -> None:
    """Else the one that stands by would end it for a hang."""
    worker = talk.cluster.active_worker
    beat = talk.cluster.data / BEAT_FILE

    async def stands_still() -> bool:
        seen = beat.read_bytes()
        await asyncio.sleep(3 * BEAT_EVERY)  # a beat has a length
        return beat.read_bytes() == seen

    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    await eventually(stands_still, 5, what="no beat is written")
    seen = beat.read_bytes()
    free = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, free)
    await eventually(lambda: beat.read_bytes() != seen, 2, what="it beats again")
    assert worker.alive


@pytest.mark.parametrize(
    ("what", "target", "how", "amount"),
    [
        ("clock", ACTIVE, "", 3600.0),
        ("hold", "bus worker-1 broker-1", "out", 0.0),
        ("lose", "bus gateway-2 broker-1", "", 0.5),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in (
                ("slow", ACTIVE, "", 0.3),
                ("clock", ACTIVE, "", -3600.0),
                ("cut", "clients gateway-1", "", 0.0),
                ("hold", "clients gateway-1", "both", 0.0),
                ("cut", "bus gateway-1 broker-1", "", 0.0),
                ("delay", "bus gateway-2 broker-1", "", 0.1),
                ("lose_next", "bus gateway-1 broker-1", "", 2.0),
                ("kill", "gateway-1", "", 0.0),
                ("freeze", "broker-1", "", 0.0),
                ("restart", "gateway-1", "", 0.0),
            )
        ),
    ],
)
async def test_whatever_else_is_done_loses_nothing(
    talk: Talk, what: str, target: str, how: str, amount: float
) -> None:
    await talk.hurt(what, target, 1.5, how, amount)
    link = talk.cluster.link(target) if target in talk.cluster.links else None
    if what == "lose":
        assert link is not None
        assert (await link.count())["lost"] > 0
    if what == "lose_next":
        assert link is not None
        assert (await link.count())["lost"] >= 2


async def test_a_schedule_is_over_when_it_says_so_and_all_is_ready(talk: Talk) -> None:
    schedule = Schedule.make(5, 6, shape_of(talk.cluster), ["kill", "cut", "lose"])
    await talk.machine.run(schedule)
    await talk.machine.heal_all()
    assert len(talk.faults()) == len(schedule.steps) > 0
    assert all(process.alive for process in talk.cluster.processes)

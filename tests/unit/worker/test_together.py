"""A gateway's asks and the owner's inbox and rules, over a bus that loses, doubles and swaps."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from gateway.asks import Asks
from hubbub.frames import Ok, Say
from hubbub.wire import Answer, Batch
from tests.unit.worker.world import Person, World
from worker.inbox import Inbox

LINES = 40


class Owner:
    """One term of an owner, over what is stored in the world."""

    def __init__(self, world: World, term: int) -> None:
        self.world = world
        self.term = term
        self.inboxes: dict[str, Inbox] = {}

    def receive(self, batch: Batch) -> tuple[list[Answer], tuple[int, int] | None]:
        """The answers to a batch, and what is missing before it."""
        if batch.term != self.term:
            return [], None
        inbox = self.inboxes.setdefault(batch.gateway, Inbox(batch.gateway))
        received = inbox.receive(batch, 100, self.world.now)
        answers = []
        for _, outcome in received.again:
            assert isinstance(outcome, Answer)
            answers.append(outcome)
        for task in received.tasks:
            (answer,) = self.world.turn(task)
            inbox.answered(task.ask.no, answer, kept=True)
            answers.append(answer)
        return answers, received.missing


class Gateway:
    """The asks of one gateway, and who is answered what."""

    def __init__(self, name: str, person: Person) -> None:
        self.asks: Asks[int] = Asks(name, 1e9)
        self.person = person
        self.answered: dict[int, int] = {}  # line -> number

    def say(self, line: int, now: float) -> None:
        """One more line, each with an id of its own."""
        frame = Say(0, self.person.sender.to_bytes(8) + line.to_bytes(8), "lobby", str(line))
        session, generation = self.person.session, self.person.generation
        self.asks.add(frame, line, now, session=session, generation=generation)

    def act(self, answer: Answer) -> None:
        """Take an answer; only the first one finds its ask open."""
        line = self.asks.answered(answer.no)
        if line is not None:
            assert isinstance(answer.reply, Ok), answer.reply
            self.answered[line] = answer.reply.seq


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.5), st.floats(0, 0.02))
def test_lines_are_numbered_once_and_as_said_whatever_the_bus_and_the_owners_do(
    seed: int, loss: float, death: float
) -> None:
    """“They are numbered in the order they were said”; “stored and shown once”."""
    chance = random.Random(seed)
    world = World()
    owner = Owner(world, 1)
    gateways = [Gateway(n, world.person(n, "lobby", gateway=n)) for n in ("g1", "g2")]
    for gateway in gateways:
        gateway.asks.begin(1, 0.0)
    said, now = 0, 0.0
    on_bus: list[tuple[Gateway, Batch | Answer]] = []
    for _ in range(5000):
        now += 0.05
        if said < LINES:
            for gateway in gateways:
                gateway.say(said, now)
            said += 1
        if chance.random() < death:
            owner = Owner(world, owner.term + 1)
            for gateway in gateways:
                gateway.asks.begin(owner.term, now)
        for gateway in gateways:
            on_bus += [(gateway, b) for b in (*gateway.asks.flush(now), *gateway.asks.due(now))]
        chance.shuffle(on_bus)
        # Some of it stays on its way for a while, and some comes twice.
        arriving, on_bus = on_bus[: len(on_bus) * 3 // 4 + 1], on_bus[len(on_bus) * 3 // 4 + 1 :]
        arriving += [each for each in arriving if chance.random() < 0.1]
        for gateway, what in arriving:
            if chance.random() < loss:
                continue
            if isinstance(what, Answer):
                gateway.act(what)
                continue
            answers, missing = owner.receive(what)
            on_bus += [(gateway, answer) for answer in answers]
            if missing and chance.random() >= loss:
                on_bus += [(gateway, batch) for batch in gateway.asks.missing(*missing)]
        if said == LINES and all(len(gateway.answered) == LINES for gateway in gateways):
            break
    assert all(len(gateway.answered) == LINES for gateway in gateways)
    assert [row.seq for row in world.events] == list(range(1, 2 * LINES + 1))
    for gateway in gateways:
        numbers = [gateway.answered[line] for line in range(LINES)]
        assert numbers == sorted(numbers)
        stored = [row.seq for row in world.events if row.sender == gateway.person.sender]
        assert stored == numbers

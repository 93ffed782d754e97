"""An owner without database, bus and clock: turns are decided, applied and remembered in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hubbub import frames, wire
from hubbub.frames import Hello, Join, Ok, Report, Say, Welcome
from hubbub.settings import Settings
from hubbub.wire import Answer, Ask, Item, OwnerFrame
from worker.plan import Known, Plan, Task, View
from worker.records import Done, EventRow
from worker.rules import Input, decide, keys_of, strangers
from worker.state import State

AT = 1_700_000_000_000


def no_report() -> Report:
    """How nothing is."""
    return Report(0, "worker-1.0", 1, 0, 7, 0.0)


class Person:
    """A session as its gateway knows it."""

    def __init__(self, gateway: str, answer: Answer) -> None:
        assert isinstance(answer.reply, Welcome), answer.reply
        self.gateway = gateway
        self.session = answer.session
        self.generation = answer.generation
        self.sender = answer.reply.sender
        self.name = answer.reply.name
        self.token = answer.reply.token


class World:
    """The rules with a memory that stands in for the store."""

    def __init__(self, **settings: object) -> None:
        self.settings = Settings(**settings)  # type: ignore[arg-type]
        self.state = State(epoch=7)
        self.now = 1000.0
        self.done: dict[tuple[int, bytes], Done] = {}
        self.over: dict[int, int] = {}
        self.events: list[EventRow] = []
        self.items: list[Item] = []  # of the last turn
        self.no = 0

    def known(self, inputs: Sequence[Input]) -> Known:
        """What the store would look up."""
        over = {id: self.over[id] for id in strangers(self.state, inputs) if id in self.over}
        keys = keys_of(self.state, inputs, over)
        return Known({key: self.done[key] for key in keys if key in self.done}, over)

    def plan(self, inputs: Sequence[Input]) -> Plan:
        """Decide, and change nothing."""
        known = self.known(inputs)
        return decide(self.state, inputs, known, self.settings, at=AT, now=self.now)

    def turn(self, *inputs: Input) -> list[Answer]:
        """Decide and apply one turn; its answers in order."""
        plan = self.plan(inputs)
        senders = {id: session.sender for id, session in self.state.sessions.items()}
        self.done.update(plan.done)
        self.events += plan.events
        self.items = plan.items
        plan.apply()
        for id, sender in senders.items():
            if id not in self.state.sessions:
                self.over[id] = sender
        view = View(self.state, self.settings, no_report, {})
        return [
            each.outcome if isinstance(each.outcome, Answer) else each.outcome(view)
            for each in plan.answers
        ]

    def task(self, frame: OwnerFrame, person: Person | None = None, **more: object) -> Task:
        """An ask, as it comes out of an inbox."""
        self.no += 1
        session, generation = (person.session, person.generation) if person else (0, 0)
        gateway = str(more.pop("gateway", person.gateway if person else "g1"))
        snapshot = bool(more.pop("snapshot", False))
        return Task(gateway, Ask(self.no, session, generation, frame, "", snapshot), bool(more))

    def ask(self, frame: OwnerFrame, person: Person | None = None, **more: object) -> frames.Frame:
        """The reply to one ask in a turn of its own."""
        reply = self.turn(self.task(frame, person, **more))[0].reply
        assert not isinstance(reply, wire.Fetched)
        return reply

    def person(
        self, name: str | None = None, *rooms: str, gateway: str = "g1", visible: bool = True
    ) -> Person:
        """A new session, in these rooms."""
        hello = Hello(0, os.urandom(16), name, visible)
        person = Person(gateway, self.turn(self.task(hello, gateway=gateway))[0])
        for room in rooms:
            self.ask(Join(0, os.urandom(16), room), person)
        return person

    def say(self, person: Person, room: str, text: str, id: bytes | None = None) -> int:
        """The number of one post."""
        ok = self.ask(Say(0, id or os.urandom(16), room, text), person)
        assert isinstance(ok, Ok), ok
        return ok.seq

    def told(self) -> list[tuple[str, str, str]]:
        """(change, name, state) of each presence item of the last turn."""
        decoded = [
            frames.server_decoder.decode(item.body)
            for item in self.items
            if item.kind == wire.Kind.PRESENCE
        ]
        return [(p.change, p.name, p.state) for p in decoded if isinstance(p, frames.Presence)]

    def kinds(self) -> list[int]:
        """The kinds of the last turn's items."""
        return [item.kind for item in self.items]


def code_of(reply: frames.Frame) -> str:
    """The code of a refusal."""
    assert isinstance(reply, frames.Error), reply
    return reply.code

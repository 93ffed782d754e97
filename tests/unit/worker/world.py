"""An owner without database, bus and clock: turns are decided, applied and remembered in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from hubbub import frames, wire
from hubbub.frames import Hello, Join, Ok, Report, Say, Welcome
from hubbub.names import name_key
from hubbub.settings import Settings
from hubbub.wire import Answer, Ask, Item, OwnerFrame
from worker.lookups import Input, strangers, wanted
from worker.messages import edit_of
from worker.plan import Plan
from worker.records import Done, EventRow
from worker.rules import Powers, decide
from worker.state import State
from worker.tasks import Checked, Known, Task, View

AT = 1_700_000_000_000
OPERATOR_KEY = "the key of the tests"


def no_report() -> Report:
    """How nothing is."""
    return Report(0, "worker-1.0", 1, 0, 7, 0.0)


class Person:
    """A session as its gateway knows it."""

    def __init__(self, gateway: str, answer: Answer, address: str = "") -> None:
        self.address = address
        assert isinstance(answer.reply, Welcome), answer.reply
        self.gateway = gateway
        self.session = answer.session
        self.generation = answer.generation
        self.sender = answer.reply.sender
        self.name = answer.reply.name
        self.token = answer.reply.token
        self.device = answer.reply.device
        self.welcome = answer.reply


class World:
    """The rules with a memory that stands in for the store."""

    def __init__(self, **settings: object) -> None:
        self.settings = Settings(**settings)  # type: ignore[arg-type]
        self.state = State(epoch=7)
        self.now = 1000.0
        self.done: dict[tuple[int, bytes], Done] = {}
        self.over: dict[int, int] = {}
        self.events: list[EventRow] = []
        self.reactions: set[tuple[int, int, int, str]] = set()
        self.at = AT
        self.items: list[Item] = []  # of the last turn
        self.no = 0
        self.wait: Callable[[int, type, int], float] | None = None  # nobody has to

    def known(self, inputs: Sequence[Input]) -> Known:
        """What the store would look up."""
        over = {id: self.over[id] for id in strangers(self.state, inputs) if id in self.over}
        look_up = wanted(self.state, inputs, over)
        done = {key: self.done[key] for key in look_up.keys if key in self.done}
        log = {(row.room, row.seq): row for row in self.events}
        rows = {key: log[key] for key in look_up.entries if key in log}
        for (room, _), row in list(rows.items()):
            if edited := edit_of(row):
                rows[room, edited] = log[room, edited]
        return Known(done, over, rows, frozenset(self.reactions & {*look_up.reactions}))

    def plan(self, inputs: Sequence[Input]) -> Plan:
        """Decide, and change nothing."""
        known = self.known(inputs)
        return decide(
            self.state,
            inputs,
            known,
            self.settings,
            at=self.at,
            now=self.now,
            powers=Powers(OPERATOR_KEY, self.wait),
        )

    def turn(self, *inputs: Input) -> list[Answer]:
        """Decide and apply one turn; its answers in order."""
        plan = self.last = self.plan(inputs)
        senders = {id: session.sender for id, session in self.state.sessions.items()}
        self._store(plan)
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

    def _store(self, plan: Plan) -> None:
        self.done.update(plan.done)
        self.events += plan.events
        for (room, seq), rewrite in plan.rewrites.items():
            at = next(n for n, row in enumerate(self.events) if row[:2] == (room, seq))
            self.events[at] = self.events[at]._replace(body=rewrite.body)
        for key, on in plan.reactions.items():
            (self.reactions.add if on else self.reactions.discard)(key)

    def task(self, frame: OwnerFrame, person: Person | None = None, **more: object) -> Task:
        """An ask, as it comes out of an inbox."""
        self.no += 1
        session, generation = (person.session, person.generation) if person else (0, 0)
        gateway = str(more.pop("gateway", person.gateway if person else "g1"))
        snapshot = bool(more.pop("snapshot", False))
        address = str(more.pop("address", person.address if person else ""))
        ask = Ask(self.no, session, generation, frame, address, snapshot)
        return Task(gateway, ask, bool(more))

    def ask(self, frame: OwnerFrame, person: Person | None = None, **more: object) -> frames.Frame:
        """The reply to one ask in a turn of its own."""
        reply = self.turn(self.task(frame, person, **more))[0].reply
        assert not isinstance(reply, wire.Fetched)
        return reply

    def checked(
        self, frame: OwnerFrame, person: Person | None = None, *, ok: bool = True, **more: object
    ) -> Checked:
        """An ask with a password, as the doorkeeper hands it on; the hash stands for the password.

        `ok` is what it found out; the password is right for whatever account it is about.
        """
        task = self.task(frame, person, **more)
        sender, against = 0, ""
        if isinstance(frame, frames.Login):
            sender = self.state.names.get(name_key(frame.name or ""), 0)
        elif person is not None:
            sender = person.sender
        found = self.state.people.get(sender)
        if found is not None and found.account is not None:
            against = found.account.password
        new = {frames.Register: "password", frames.Passwd: "new"}.get(type(frame), "")
        hashed = f"hash of {getattr(frame, new)}" if new else ""
        return Checked(task, ok, sender if ok else 0, against, hashed)

    def register(self, person: Person, password: str = "a good password") -> str:
        """Make an account of a guest; the token of the device."""
        reply = self.turn(self.checked(frames.Register(0, os.urandom(16), password), person))[0]
        assert isinstance(reply.reply, frames.Granted), reply
        return reply.reply.device

    def login(self, name: str, gateway: str = "g1", *, address: str = "") -> Person:
        """One more session of an account, by the right password."""
        frame = frames.Login(0, os.urandom(16), name, "a good password")
        checked = self.checked(frame, gateway=gateway, address=address)
        return Person(gateway, self.turn(checked)[0], address)

    def account(
        self, name: str, *rooms: str, gateway: str = "g1", operator: bool = False
    ) -> Person:
        """A person with an account, in these rooms."""
        person = self.person(name, gateway=gateway)
        self.register(person)
        if operator:
            self.ask(frames.Promote(0, os.urandom(16), name, key=OPERATOR_KEY), person)
        for room in rooms:
            self.ask(Join(0, os.urandom(16), room), person)
        return person

    def person(
        self,
        name: str | None = None,
        *rooms: str,
        gateway: str = "g1",
        visible: bool = True,
        address: str = "",
    ) -> Person:
        """A new guest, in these rooms."""
        hello = Hello(0, os.urandom(16), name, visible)
        task = self.task(hello, gateway=gateway, address=address)
        person = Person(gateway, self.turn(task)[0], address)
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

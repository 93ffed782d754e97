"""A program (programs.py), run by the rules and by a model of them (model.py) side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from hubbub import frames
from hubbub.wire import Lost, Sync, rooms_digest
from tests.unit.worker import model_people as people
from tests.unit.worker.model import LEFT_AFTER, RESUME_WITHIN, Attached, Expected, No, Somebody
from tests.unit.worker.programs import NAMES, PROLOGUE, Step, frame_of
from tests.unit.worker.turns import Act, Asking, Turns
from tests.unit.worker.world import Person
from worker.lookups import GatewayGone, Input, Syncing, TimePassed
from worker.tasks import Checked

GATEWAYS = ("g1", "g2")
ADDRESSES = ("", "203.0.113.5", "198.51.100.7")
SECONDS = (1, 4, 6, 30, 61, 3600, 31 * 24 * 3600)


Doing: TypeAlias = Callable[[Somebody, Attached], Expected]


class Play(Turns):
    """All that can be done, each as a method `do_`, or one of the frames of the model's table."""

    def run(self, steps: Iterable[Step]) -> None:
        """Everything in its order.

        Raises:
            AssertionError: the rules did something else than the model.
        """
        for step in (*PROLOGUE, *steps):
            special = getattr(self, "do_" + step.what, None)
            if special is not None:
                special(step)
            else:
                self.of_session(step)
            if special is not None or not step.together:
                self.flush()
        self.flush()

    # --- asks of a session ----------------------------------------------------------------

    def of_session(self, step: Step) -> None:
        """What the table of the model has."""
        person = self.client(step.who)
        chosen = self.choose(step, person.sender) if person is not None else None
        frame = frame_of(step, chosen) if chosen is not None else None
        if person is not None and frame is not None:
            self.ask(person, frame)

    def ask(self, person: Person, frame: frames.Frame) -> None:
        """One ask, and what the model makes of it."""
        act, model = people.ACTS[type(frame)], self.model

        def make() -> tuple[Input, Act]:
            def doing(who: Somebody, at: Attached) -> Expected:
                return act(model, who, at, frame)

            return self.world.task(frame, person), self.asked_by(person, frame, doing)  # type: ignore[arg-type]

        self.put(Asking(frame, person, make))

    def asked_by(self, person: Person, frame: frames.Frame, doing: Doing) -> Act:
        """The same in the model."""
        session, generation, gateway = person.session, person.generation, person.gateway
        return lambda: self.model.ask(session, generation, gateway, frame, doing)

    def do_retry(self, step: Step) -> None:
        """Something is asked again as it was, the answer was lost."""
        if self.asked:
            again = self.asked[-1 - (step.who + 6 * step.which) % len(self.asked)]
            self.waiting.append((again, *again.make()))

    def do_conflict(self, step: Step) -> None:
        """An id is used for something else."""
        said = [each for each in self.asked if isinstance(each.frame, frames.Say)]
        if said:
            asking = said[step.which % len(said)]
            assert isinstance(asking.frame, frames.Say)
            assert asking.person is not None
            self.ask(asking.person, msgspec.structs.replace(asking.frame, text="else"))

    def do_lost(self, step: Step) -> None:
        """A connection breaks."""
        person = self.client(step.who)
        if person is None:
            return
        del self.wire.connections[person.session]

        def act() -> Expected:
            session = self.model.sessions.get(person.session)
            if session is not None and session.generation == person.generation:
                self.model.lose(session)
            return Expected("ok")

        asking = Asking(Lost(), person, lambda: (self.world.task(Lost(), person), act))
        self.waiting.append((asking, *asking.make()))

    # --- passwords ------------------------------------------------------------------------

    def secret(self, step: Step, make_frame: Callable[[bytes], frames.Frame]) -> None:
        """An ask with a password, right or wrong."""
        person = self.client(step.who)
        if person is None:
            return
        frame = make_frame(self.new_id())

        def make() -> tuple[Input, Act]:
            checked = self.world.checked(frame, person, ok=step.which != 6)  # type: ignore[arg-type]

            def doing(who: Somebody, at: Attached) -> Expected:
                right = checked.ok and checked.against == who.password
                if isinstance(frame, frames.Register):
                    return people.register(self.model, who, at, checked.hashed)
                if isinstance(frame, frames.Passwd):
                    return people.passwd(self.model, who, at, right, checked.hashed)
                return people.unregister(self.model, who, at, right)

            return checked, self.asked_by(person, frame, doing)

        self.put(Asking(frame, person, make))

    def do_register(self, step: Step) -> None:
        """A guest becomes an account."""
        self.secret(step, lambda id: frames.Register(0, id, f"first {self.id}"))

    def do_passwd(self, step: Step) -> None:
        """An account gets another password."""
        self.secret(step, lambda id: frames.Passwd(0, id, "x", f"next {self.id}"))

    def do_unregister(self, step: Step) -> None:
        """An account is deleted."""
        if step.flag:
            self.secret(step, lambda id: frames.Unregister(0, id, "x"))

    # --- greetings ------------------------------------------------------------------------

    def greet(self, step: Step, frame: frames.Frame, act: Callable[[str, str], Act]) -> None:
        """A greeting: from where, and what the model makes of it there."""
        gateway, address = GATEWAYS[step.where % 2], ADDRESSES[step.whom % 3]

        def make() -> tuple[Input, Act]:
            task = self.world.task(frame, gateway=gateway, address=address)  # type: ignore[arg-type]
            return task, act(gateway, address)

        self.put(Asking(frame, None, make, gateway, address))

    def do_hello(self, step: Step) -> None:
        """Somebody comes as a guest."""
        frame = frames.Hello(0, self.new_id(), NAMES[step.which], not step.flag or step.who < 4)
        self.greet(step, frame, lambda *at: lambda: people.hello(self.model, frame, *at))

    def do_login(self, step: Step) -> None:
        """An account comes, by its password."""
        there = [person.name for _, person in sorted(self.model.people.items())]
        name = [*there, "nobody"][step.who % (len(there) + 1)]
        frame = frames.Login(0, self.new_id(), name, "x", visible=step.which != 5)
        gateway, address = GATEWAYS[step.where % 2], ADDRESSES[step.whom % 3]

        def make() -> tuple[Input, Act]:
            right = step.which != 6
            checked = self.world.checked(frame, ok=right, gateway=gateway, address=address)
            return checked, lambda: self.log_in(frame, checked, gateway, address)

        self.put(Asking(frame, None, make, gateway, address))

    def log_in(self, frame: frames.Login, checked: Checked, gateway: str, address: str) -> Expected:
        """The same in the model; the password is void when it was changed meanwhile."""
        who = self.model.people.get(checked.sender) if checked.ok else None
        if who is not None and not (who.account and who.password == checked.against):
            who = None
        return people.login(self.model, frame, gateway, address, who, 0)

    def do_token(self, step: Step) -> None:
        """An account comes, by the token of a device."""
        if not self.devices:
            return
        number, serial, token = self.devices[step.which % len(self.devices)]
        frame = frames.Login(0, self.new_id(), token=token)

        def act(gateway: str, address: str) -> Expected:
            holds = (w for w in self.model.people.values() if w.devices.get(number) == serial)
            return people.login(self.model, frame, gateway, address, next(holds, None), number)

        self.greet(step, frame, lambda *at: lambda: act(*at))

    def do_resume(self, step: Step) -> None:
        """A client comes back on another connection, whether the old one was lost or not."""
        known = list(self.clients.values())
        if not known:
            return
        person, serial = known[step.which % len(known)]

        def act(*at: str) -> Expected:
            session = self.model.sessions.get(person.session)
            if session is None or session.serial != serial:
                raise No("expired")
            return self.model.back(session, *at)

        frame = frames.Resume(0, self.new_id(), person.token)
        self.greet(step, frame, lambda *at: lambda: act(*at))

    # --- gateways and time ----------------------------------------------------------------

    def do_gone(self, step: Step) -> None:
        """A gateway is said to be dead, whether it is or not."""
        self.flush()
        gateway = GATEWAYS[step.where % 2]
        for session in self.model.sessions.values():
            if session.gateway == gateway:
                self.model.lose(session)
        self.turn_of(GatewayGone(gateway))

    def do_sync(self, step: Step) -> None:
        """A gateway begins anew, and finds its connections in their rooms."""
        self.flush()
        gateway = GATEWAYS[step.where % 2]
        here = [each for each in self.wire.connections.values() if each.gateway == gateway]
        listed = [(each.session, each.generation) for each in here]
        inside = [rooms_digest(each.rooms) for each in here]
        for session in self.model.sessions.values():
            if session.id in (each.session for each in here):
                session.lost_at, session.gateway = None, gateway
            elif session.gateway == gateway:
                self.model.lose(session)
        self.turn_of(Syncing(Sync(gateway, 1, 1, listed, [], inside), set()))
        assert (self.world.last.synced[0].over, self.world.last.synced[0].differing) == ([], [])

    def do_time(self, step: Step) -> None:
        """Time passes; every deadline is kept when it comes."""
        self.flush()
        world, model = self.world, self.model
        seconds = SECONDS[step.which]
        until = world.now + seconds
        world.at += seconds * 1000
        model.at = world.at
        while True:
            due = world.state.next_deadline(LEFT_AFTER, RESUME_WITHIN)
            if due is None or due > until:
                break
            world.now = model.now = due
            model.tick()
            self.turn_of(TimePassed())
        world.now = model.now = until

"""Turns of asks, taken by the rules and by the model (model.py) side by side, and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from hubbub import frames
from hubbub.frames import Error, Granted, Ok, Roster, Welcome
from hubbub.wire import Answer
from tests.unit.worker.compare import Log, check
from tests.unit.worker.model import Expected, Model, No
from tests.unit.worker.programs import Chosen, Step
from tests.unit.worker.wire_model import Wire
from tests.unit.worker.world import Person, World
from worker.lookups import Input

# One that is public at first, one that is private, one that nobody has made; conversations.
ROOMS = (*["lobby"] * 5, "den", "den", "attic", "@", "@")

Act: TypeAlias = Callable[[], Expected]
Making: TypeAlias = Callable[[], tuple[Input, Act]]


class Asking(NamedTuple):
    """An ask, and how to ask the same again."""

    frame: object
    person: Person | None  # None: a greeting, from that gateway and address
    make: Making
    gateway: str = ""
    address: str = ""


class Client(NamedTuple):
    """A client that has, or had, a session; and which of the session's tokens."""

    person: Person
    serial: int


class Turns:
    """A world, its model, the wire between them, and the clients that ask."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.model = Model(world.at, world.now)
        self.wire = Wire()
        self.log = Log()
        self.clients: dict[int, Client] = {}  # by session, also those that are cut off
        self.devices: list[tuple[int, int, str]] = []  # number, which token of it, the token
        self.asked: list[Asking] = []
        self.waiting: list[tuple[Asking, Input, Act]] = []
        self.id = 0
        self.outcomes: dict[str, int] = {}  # how often, by frame and outcome

    # --- turns ----------------------------------------------------------------------------

    def flush(self) -> None:
        """Have what waits decided, in one turn, and compare."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        expected = [_outcome(act) for _, _, act in waiting]
        answers = self.world.turn(*(each for _, each, _ in waiting))
        self.hear()
        for (asking, _, _), wanted, answer in zip(waiting, expected, answers, strict=True):
            self.hear_answer(asking, wanted, answer)
        self.compare()

    def turn_of(self, news: Input) -> None:
        """A turn of something that nobody waits for the answer of."""
        self.world.turn(news)
        self.hear()
        self.compare()

    def hear(self) -> None:
        """What the turn has put on the stream reaches the gateways."""
        for item in self.world.items:
            self.wire.apply(item)

    def compare(self) -> None:
        """The rules' memory, the wire's and the model's are the same."""
        check(self.world, self.model, self.wire, self.log)

    def hear_answer(self, asking: Asking, wanted: Expected, answer: Answer) -> None:
        """An answer is what the model says, seen from the end of the turn."""
        reply, said = answer.reply, (asking.frame, wanted, answer.reply)
        name = f"{type(asking.frame).__name__} {wanted.code or wanted.kind}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1
        if wanted.kind == "error":
            assert isinstance(reply, Error), said
            assert reply.code == wanted.code, said
        elif wanted.kind == "ok":
            room = self.model.rooms[wanted.room].name if wanted.room else ""
            assert reply == Ok(0, room, wanted.seq, wanted.at), said
            if isinstance(asking.frame, frames.Bye | frames.Unregister) and asking.person:
                self.wire.connections.pop(asking.person.session, None)
        elif wanted.kind == "roster":
            assert isinstance(reply, Roster), said
            self.rostered(asking, wanted, reply, answer.inside)
        elif wanted.kind == "granted":
            assert isinstance(reply, Granted), said
            if wanted.session in self.model.sessions:
                device = self.model.sessions[wanted.session].device
                self.devices.append((device, wanted.serial, reply.device))
        else:
            self.welcomed(asking, wanted, answer)

    def rostered(self, asking: Asking, wanted: Expected, reply: Roster, inside: bool) -> None:
        """The answer to a join tells what is personal in the room, or that one is not in it."""
        assert asking.person is not None
        room, sender = self.model.rooms[wanted.room], asking.person.sender
        there = sender in room.members and asking.person.session in self.model.sessions
        assert inside == there, (asking.frame, reply)
        if inside:
            mark, marked = room.marks[sender]
            assert (reply.room, reply.head, reply.count) == (room.name, room.head, room.count)
            title = room.title if room.kind != "direct" else ""
            assert (reply.title, reply.private) == (title, room.kind != "public")
            assert (reply.role, reply.mark, reply.marked) == (room.members[sender], mark, marked)
            assert reply.mentions == len(room.mentions[sender])
            self.wire.joined(asking.person, wanted.room, room.name)

    def welcomed(self, asking: Asking, wanted: Expected, answer: Answer) -> None:
        """The session is open, with all rooms of the person; unless it is over again."""
        reply, session = answer.reply, self.model.sessions.get(wanted.session)
        if session is None or session.serial != wanted.serial:
            assert isinstance(reply, Error), (asking.frame, answer)
            assert reply.code == "expired"
            return
        assert isinstance(reply, Welcome), (asking.frame, wanted, answer)
        person = Person(asking.gateway, answer, asking.address)
        who = self.model.people[session.sender]
        assert (person.session, person.sender, person.name) == (session.id, who.sender, who.name)
        assert (reply.account, reply.operator) == (who.account, who.operator)
        assert set(reply.blocked) == who.blocked
        for snapshot in answer.rooms:
            self.wire.check(snapshot.room_id, snapshot)
        for own in reply.rooms:
            room = self.model.rooms[self.wire.ids[own.room]]
            assert (own.mark, own.marked, own.role) == (
                *room.marks[who.sender],
                room.members[who.sender],
            )
            assert own.mentions == len(room.mentions[who.sender])
        assert {snapshot.room_id for snapshot in answer.rooms} == self.model.inside(who.sender)
        invited = {room.name for room in self.model.rooms.values() if who.sender in room.invited}
        assert {each.room for each in reply.invitations} <= invited
        self.wire.welcome(person, reply)
        self.clients[person.session] = Client(person, wanted.serial)
        if person.device:
            self.devices.append((wanted.device, who.devices.get(wanted.device, 0), person.device))

    # --- choosing -------------------------------------------------------------------------

    def put(self, asking: Asking) -> None:
        """An ask is to be decided in the next turn."""
        self.asked.append(asking)
        self.waiting.append((asking, *asking.make()))

    def new_id(self) -> bytes:
        """An id that nobody has used."""
        self.id += 1
        return self.id.to_bytes(16)

    def client(self, number: int) -> Person | None:
        """Somebody who is connected."""
        here = [each.person for each in self.clients.values() if self.is_connected(each.person)]
        return here[number % len(here)] if here else None

    def is_connected(self, person: Person) -> bool:
        """Whether that client's connection has its session still."""
        connection = self.wire.connections.get(person.session)
        return connection is not None and connection.generation == person.generation

    def choose(self, step: Step, sender: int) -> Chosen | None:
        """A room, a name and a message: mostly such as there are. None: who is meant is open."""
        there = [person.name for _, person in sorted(self.model.people.items())]
        name = [*there, "nobody"][step.whom % (len(there) + 1)]
        room = ROOMS[step.where]
        direct = [each.name for each in self.model.rooms.values() if each.kind == "direct"]
        if room == "@":
            room = direct[step.which % len(direct)] if step.where == 9 and direct else "@" + name
        who = self.model.people.get(sender)
        found = self.model.find(who, room) if who is not None else None
        if found is not None and step.what in ("unban", "unmute"):
            kept = found.bans if step.what == "unban" else found.mutes
            names = [each.name for each in kept.values()]
            if names and step.flag:
                name = names[step.which % len(names)]
            if sum(each.casefold() == name.casefold() for each in names) > 1:
                return None
        log = found.log if found is not None else []
        seqs = [n for n, line in enumerate(log, 1) if line.what == "message" or step.which > 4]
        seq = [len(log) + 1, *reversed(seqs)][(step.which + 1) % (len(seqs) + 1)]
        return Chosen(self.new_id(), room, name, seq)


def _outcome(act: Act) -> Expected:
    try:
        return act()
    except No as refused:
        return Expected("error", refused.code)

"""A world whose people are watched: what each is shown is held against what the log says.

The log itself says who was in a room at a number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hubbub import frames
from hubbub.frames import ClientFrame, Event, Message
from hubbub.wire import Answer, Item, Kind
from tests.unit.worker.world import Person, World, no_report
from worker import reads
from worker.records import EventRow, RoomKind
from worker.tasks import Reading, View

NUMBERED = (Kind.MESSAGE, Kind.EVENT)


@dataclasses.dataclass
class Connection:
    """What a gateway shows one session: what is in the rooms that it has been put into."""

    person: Person
    rooms: set[int] = dataclasses.field(default_factory=set)
    shown: list[tuple[int, int]] = dataclasses.field(default_factory=list)  # (room, number)
    news: list[Item] = dataclasses.field(default_factory=list)  # for the person alone
    over: bool = False

    def take(self, item: Item) -> None:
        """One item of the stream, in its order."""
        mine = item.sender == self.person.sender
        if item.kind == Kind.SESSION_OVER and item.sender == self.person.session:
            self.over, self.rooms = True, set()
        elif item.kind == Kind.MEMBER_IN and mine and item.seq != self.person.session:
            self.rooms.add(item.room)
        elif item.kind == Kind.MEMBER_OUT and mine:
            self.rooms.discard(item.room)
        elif item.kind == Kind.PERSONAL and mine:
            self.news.append(item)
        elif item.kind in NUMBERED and item.room in self.rooms:
            self.shown.append((item.room, item.seq))


class Watched:
    """A world, and all that its people are shown."""

    def __init__(self) -> None:
        self.world = world = World()
        self.people = {name: world.account(name, "den") for name in ("alice", "bob", "carol")}
        self.people["chief"] = world.account("chief", operator=True)
        self.people["bob's other"] = world.login("bob")
        self.people["guest"] = world.person("guest", "den")
        self.room = world.state.room_keys["den"]
        self.connections: dict[str, Connection] = {}
        for name, person in self.people.items():
            inside = set(world.state.people[person.sender].rooms)
            self.connections[name] = Connection(person, inside)
        self.begun = world.state.rooms[self.room].head

    def turn(self, asks: Sequence[tuple[str, ClientFrame]]) -> None:
        """Decide some asks together; what they lead to is shown, and held against the rules."""
        world = self.world
        tasks = [world.task(frame, self.people[who]) for who, frame in asks]
        asked = {task.ask.no: ask for task, ask in zip(tasks, asks, strict=True)}
        answers = world.turn(*tasks)
        view = View(world.state, world.settings, no_report, {})
        for item in world.items:
            for connection in self.connections.values():
                if not connection.over:
                    connection.take(item)
        answers += [
            reads.answer_reading(view, each, self.rows(each)) for each in world.last.readings
        ]
        for answer in answers:
            self._answered(*asked[answer.no], answer)

    def rows(self, reading: Reading) -> list[EventRow]:
        """What the store reads once all of the turn is written."""
        log = [row for row in self.world.events if row.room == reading.room]
        if reading.after is not None:
            return [row for row in log if row.seq > reading.after][: reading.limit]
        below = [row for row in log if reading.before is None or row.seq < reading.before]
        return below[::-1][: reading.limit]

    # --- what is held -----------------------------------------------------------------------

    def _answered(self, who: str, asked: ClientFrame, answer: Answer) -> None:
        person, reply = self.people[who], answer.reply
        if isinstance(reply, frames.Roster) and answer.inside:
            room = self.world.state.room_keys[reply.room]
            self._check_may_read(person, room)
            if isinstance(asked, frames.Join):
                assert person.sender in self.world.state.rooms[room].members
                self.connections[who].rooms.add(room)
        elif isinstance(reply, frames.Roster):
            assert reply == frames.Roster(0, reply.room, 0, epoch=7)  # it shows nothing
        elif isinstance(reply, frames.Page):
            self._check_may_read(person, self.world.state.room_keys[reply.room])
        elif isinstance(reply, frames.RoomList):
            self._check_directory(person, reply)
        elif isinstance(reply, frames.States):
            inside = {state.room for state in reply.rooms}
            rooms = self.world.state.people[person.sender].rooms
            assert inside == {self.world.state.rooms[id].name for id in rooms}

    def _may_read(self, person: Person, id: int) -> bool:
        """The rule in other words: members, and of a public room all who are not banned."""
        room = self.world.state.rooms[id]
        if person.session not in self.world.state.sessions or room.closed:
            return False
        if person.sender in room.members:
            return True
        ban = room.restrictions.get(("ban", person.sender))
        return room.kind is RoomKind.PUBLIC and (ban is None or ban.until <= self.world.at)

    def _check_may_read(self, person: Person, id: int) -> None:
        assert self._may_read(person, id), f"{person.name} was shown {id}"

    def _check_directory(self, person: Person, listed: frames.RoomList) -> None:
        for info in listed.rooms:
            id = self.world.state.room_keys[info.room]
            if not self._may_read(person, id):
                assert info == frames.RoomInfo(info.room, private=True)  # a name, and no more
                invited = person.sender in self.world.state.rooms[id].invites
                assert invited or person.name == "chief"

    def was_inside(self, person: Person, room: int) -> set[int]:
        """The numbers at which an account was in a room; its coming and going is among them."""
        inside, found = False, set()
        for row in self.world.events:
            if row.room != room:
                continue
            entry = frames.server_decoder.decode(row.body)
            assert isinstance(entry, Event | Message)
            comes = goes = False
            if isinstance(entry, Event):
                comes = entry.kind == "joined" and entry.sender == person.sender
                goes = (
                    (entry.kind == "parted" and entry.sender == person.sender)
                    or (entry.kind in ("kicked", "banned") and entry.whom == person.sender)
                    or entry.kind == "closed"
                )
            inside = inside or comes
            if inside:
                found.add(row.seq)
            inside = inside and not goes
        return found

    def check(self) -> None:
        """Everything that was shown live, and what is noted of people, at the end."""
        state = self.world.state
        for connection in self.connections.values():
            person = connection.person
            assert connection.shown == sorted(set(connection.shown))
            if state.people[person.sender].account is None:
                continue
            for room in state.rooms:
                entitled = self.was_inside(person, room)
                shown = {seq for id, seq in connection.shown if id == room}
                assert shown <= entitled, f"{person.name} was shown {sorted(shown - entitled)}"
        for sender, room in (*state.mentions, *state.marks):
            assert sender in state.rooms[room].members
        for id, room_ in state.rooms.items():
            assert room_.members == {s for s, each in state.people.items() if id in each.rooms}

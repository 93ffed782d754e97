"""Whether the rules' memory, the stream and the model of a chat say the same."""

from __future__ import annotations

from hubbub import frames
from hubbub.names import skeleton
from hubbub.wire import Kind
from tests.unit.worker.model import NAME_KEPT, Line, Model, Place
from tests.unit.worker.wire_model import Followed, Wire
from tests.unit.worker.world import World
from worker.records import EventRow, Presence, Rank, RoomKind
from worker.state import State

_KINDS = {"public": RoomKind.PUBLIC, "private": RoomKind.PRIVATE, "direct": RoomKind.DIRECT}
_CHANGES = {"text", "mentions", "edited", "deleted"}  # what edits and deletes may touch


class Log:
    """What stood in the logs, to see that nothing else is rewritten."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], tuple[EventRow, frames.Message | frames.Event]] = {}

    def frame(self, row: EventRow) -> frames.Message | frames.Event:
        """The entry, decoded once; “entries are immutable but for their texts”."""
        old = self.rows.get(row[:2])
        if old is not None and old[0] is row:
            return old[1]
        frame = frames.server_decoder.decode(row.body)
        assert isinstance(frame, frames.Message | frames.Event)
        if old is not None:
            assert row._replace(body=b"") == old[0]._replace(body=b"")
            for field in frame.__struct_fields__:
                assert field in _CHANGES or getattr(frame, field) == getattr(old[1], field)
        self.rows[row[:2]] = row, frame
        return frame


def line_of(row: EventRow, frame: frames.Message | frames.Event) -> Line:
    """An entry as the model has it."""
    assert (frame.seq, frame.sender, frame.at, frame.count) == (row[1], row[3], row[4], row[5])
    own = (frame.sender, frame.name, frame.count, frame.text)
    mentions = tuple(frame.mentions)
    if isinstance(frame, frames.Message):
        assert row.kind == Kind.MESSAGE
        changes = (frame.edited, frame.deleted)
        return Line("message", *own, 0, 0, "", 0, mentions, frame.reply, *changes)
    assert row.kind == Kind.EVENT
    return Line(frame.kind, *own, frame.of, frame.whom, frame.to, frame.until, mentions)


def check(world: World, model: Model, wire: Wire, log: Log) -> None:
    """Everything is the same everywhere.

    Raises:
        AssertionError: it is not.
    """
    state = world.state
    lines: dict[int, list[Line]] = {id: [] for id in model.rooms}
    for row in world.events:
        line = line_of(row, log.frame(row))
        lines[row.room].append(line)
        assert row.seq == len(lines[row.room]), "numbers without a hole"
    assert state.rooms.keys() == model.rooms.keys()
    for id, place in model.rooms.items():
        assert lines[id] == place.log, (lines[id][-3:], place.log[-3:])
        _check_room(state, place)
        _check_owner(state, place)
        _check_wire(state, model, place, wire)
    assert world.reactions == {
        (place.id, *key) for place in model.rooms.values() for key in place.reactions
    }
    _check_people(state, model)
    _check_sessions(state, model, wire)


def _check_room(state: State, place: Place) -> None:
    room = state.rooms[place.id]
    assert (room.name, room.title, room.closed) == (place.name, place.title, place.closed)
    assert (room.kind, room.head, room.count) == (_KINDS[place.kind], place.head, place.count)
    assert room.members == place.members.keys()
    assert {who: room.rank_of(who).word for who in room.members} == place.members
    assert room.ranks.keys() <= room.members
    assert {who: each.by for who, each in room.invites.items()} == place.invited
    restricted = {(kind, who) for kind, who in room.restrictions}
    assert restricted == {("ban", who) for who in place.bans} | {("mute", w) for w in place.mutes}
    for sender in place.members:
        mark, marked = place.marks[sender]
        assert state.mark(sender, place.id) == (mark, marked)
        unread = [line for line in place.log[mark:] if line.what == "message"]
        assert len(unread) == place.count - marked, "unread = count - marked"
        mentions = state.unread_mentions(sender, place.id)
        assert list(mentions) == place.mentions[sender]
        assert all(mark < seq <= place.head for seq in mentions)


def _check_owner(state: State, place: Place) -> None:
    """“One owner at least while accounts are members, once there was one.”"""
    assert not place.owned or Rank.OWNER in state.rooms[place.id].ranks.values()


def _check_wire(state: State, model: Model, place: Place, wire: Wire) -> None:
    followed = wire.rooms.get(place.id) or Followed()  # somebody unseen made it
    assert (followed.head, followed.count) == (place.head, place.count)
    assert followed.title == place.title or place.kind == "direct"
    assert followed.private in (None, place.kind != "public")
    there = {}
    for sender, rank in place.members.items():
        presence, away = model.presence(sender)
        if presence:
            name = model.people[sender].name
            there[sender] = frames.Person(sender, name, presence, rank, away)
    assert followed.roster == there
    assert state.rooms[place.id].roster.keys() == there.keys()


def _check_people(state: State, model: Model) -> None:
    # A name that nobody keeps any more may be forgotten at any time.
    over = {
        each.sender
        for each in model.people.values()
        if each.deleted and each.deleted + NAME_KEPT <= model.at
    }
    people = {sender: each for sender, each in state.people.items() if sender not in over}
    assert people.keys() == model.people.keys() - over
    for sender, who in people.items():
        known = model.people[sender]
        account = who.account
        assert (who.name, account is not None) == (known.name, known.account)
        assert (who.is_operator, who.is_deleted) == (known.operator, known.deleted > 0)
        assert who.is_suspended(model.at) == (known.suspended > model.at)
        assert set(who.rooms) == model.inside(sender)
        assert set(who.blocked) == known.blocked
        assert who.sessions == {each.id for each in model.sessions_of(sender)}
        assert (who.state, who.away) == model.presence(sender)
        assert state.devices_of.get(sender, set()) == known.devices.keys()
        assert state.names[who.key] == sender
        assert state.skeletons[skeleton(who.name)] == sender
    assert len(state.names) == len(state.skeletons) == len(state.people)


def _check_sessions(state: State, model: Model, wire: Wire) -> None:
    assert state.sessions.keys() == model.sessions.keys()
    for id, session in state.sessions.items():
        known = model.sessions[id]
        assert (session.sender, session.generation) == (known.sender, known.generation)
        assert (session.presence is Presence.HERE) == (known.lost_at is None)
        assert (session.gateway, session.device) == (known.gateway, known.device), (session, known)
    for connection in wire.connections.values():
        alive = state.sessions.get(connection.session)
        assert alive is not None, "a connection without its session"
        assert alive.generation == connection.generation
        assert connection.rooms == state.people[connection.sender].rooms

"""What tests of the rules look at: logs, states, and what one turn has told whom."""

from __future__ import annotations

import os

import msgspec

from hubbub import frames
from hubbub.frames import Event, Message, RoomState, States, Unread
from hubbub.wire import Ending, Item, Kind
from tests.unit.worker.world import Person, World

_ending = msgspec.msgpack.Decoder(Ending)


def new() -> bytes:
    """An id."""
    return os.urandom(16)


def log(world: World, room: int = 1) -> list[Message | Event]:
    """A room's log as it is stored."""
    found = []
    for row in world.events:
        if row.room == room:
            frame = frames.server_decoder.decode(row.body)
            assert isinstance(frame, Message | Event)
            found.append(frame)
    return found


def line(world: World, seq: int, room: int = 1) -> Message:
    """A message of a room's log."""
    found = log(world, room)[seq - 1]
    assert isinstance(found, Message)
    return found


def told_to(world: World, person: Person) -> list[frames.Frame]:
    """What the last turn has for every session of one person alone."""
    return [
        frames.server_decoder.decode(item.body)
        for item in world.items
        if item.kind == Kind.PERSONAL and item.sender == person.sender
    ]


def of_kind(world: World, kind: Kind) -> list[Item]:
    """The items of a kind in the last turn."""
    return [item for item in world.items if item.kind == kind]


def endings(world: World) -> dict[int, str]:
    """The sessions that the last turn has ended, and the code that their connections are told."""
    return {
        item.sender: _ending.decode(item.body).code for item in of_kind(world, Kind.SESSION_OVER)
    }


def state(world: World, person: Person, room: str = "lobby") -> RoomState:
    """Where a room stands for somebody, as they would be answered."""
    states = world.ask(Unread(0), person)
    assert isinstance(states, States)
    return next(each for each in states.rooms if each.room == room)


def unread(world: World, person: Person, room: str = "lobby") -> int:
    """How many messages somebody has not read."""
    own = state(world, person, room)
    return own.count - own.marked


def rooms_of(world: World, person: Person) -> set[str]:
    """The rooms that somebody is in."""
    inside = world.state.people[person.sender].rooms
    return {world.state.rooms[id].name for id in inside}

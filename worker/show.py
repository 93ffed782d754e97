"""How rooms and people are shown in answers and snapshots. Pure.

`at` is the state where an answer is made once the turn has been applied, and the plan where
something has to stand at its very place in the turn's stream.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from hubbub import frames
from hubbub.frames import Invitation, RoomState
from hubbub.names import direct_pair
from hubbub.wire import Snapshot
from worker.draft import Draft
from worker.plan import Plan
from worker.records import Person, Rank, Room, RoomKind
from worker.state import State
from worker.tasks import View

Then: TypeAlias = State | Plan
# Characters of texts in one roster: beside 20,000 people with the longest names there is no space
# for more in a bus message, and one that is too large costs all gateways their brokers.
MOST_AWAY = 60_000
MOST_INVITATIONS = 100  # of one person: each welcome lists them, and strangers can send them


def shown(person: Person, rank: Rank) -> frames.Person:
    """Somebody in a roster."""
    return frames.Person(
        person.sender, person.name, person.state or "offline", rank.word, person.away
    )


def people(state: State, room: Room) -> list[frames.Person]:
    """Who is seen in a room, in the order in which they came."""
    everybody = state.people
    return [shown(everybody[sender], room.rank_of(sender)) for sender in room.roster]


def pair(at: Then, room: Draft | Room) -> list[frames.Person]:
    """The two of a conversation; of other rooms nobody. A guest that is gone left the name."""
    if room.kind is not RoomKind.DIRECT:
        return []
    return [
        shown(person, Rank.MEMBER)
        if (person := at.person(sender)) is not None
        else frames.Person(sender, room.title or "somebody", "offline")
        for sender in direct_pair(room.name) or ()
    ]


def title_of(room: Draft | Room) -> str:
    """The title that people gave a room."""
    return room.title if room.kind is not RoomKind.DIRECT else ""


def peer(at: Then, room: Draft | Room, sender: int) -> frames.Person | None:
    """The other one of a conversation of two."""
    return next((each for each in pair(at, room) if each.sender != sender), None)


def own_state(at: Then, room: Draft | Room, sender: int) -> RoomState:
    """Where a room stands, for one of its members."""
    mark = at.mark(sender, room.id)
    return RoomState(
        room.name,
        room.head,
        room.first,
        room.count,
        title_of(room),
        room.kind is not RoomKind.PUBLIC,
        room.rank_of(sender).word,
        mark.seq,
        mark.messages,
        len(at.unread_mentions(sender, room.id)),
        peer(at, room, sender),
    )


def invitations(state: State, sender: int) -> list[Invitation]:
    """The rooms that somebody was invited to and is not in; of many the newest."""
    rooms = (state.rooms[id] for id in sorted(state.invited_to.get(sender, ())))
    waiting = sorted(
        (room for room in rooms if not room.closed), key=lambda room: room.invites[sender].at
    )
    return [
        Invitation(room.name, room.invites[sender].by_name, room.title)
        for room in waiting[-MOST_INVITATIONS:]
    ]


def snapshot(view: View, room: Room) -> Snapshot:
    """A room for a gateway that begins to follow it.

    Made once: after a gateway's death all its people resume into the same rooms at once.
    """
    made = view.snapshots.get(room.id)
    if made is None:
        made = _snapshot(view.state, room, people(view.state, room))
        view.snapshots[room.id] = made
    return made


def snapshot_now(plan: Plan, id: int) -> Snapshot:
    """A room as it is at this place of the turn's stream."""
    room = plan.room(id)
    members = [shown(each, room.rank_of(each.sender)) for each in _roster_now(plan, id)]
    return _snapshot(plan, room, members)


def _snapshot(at: Then, room: Draft | Room, members: list[frames.Person]) -> Snapshot:
    return Snapshot(
        room.id,
        room.name,
        room.head,
        room.first,
        room.count,
        _fitting(members),
        title_of(room),
        room.kind is not RoomKind.PUBLIC,
        pair(at, room),
    )


def _fitting(members: list[frames.Person]) -> list[frames.Person]:
    """A roster that a bus message can hold: of very many people it is left out what they say of
    being away.
    """
    if sum(len(each.away) for each in members) <= MOST_AWAY:
        return members
    return [msgspec.structs.replace(each, away="") for each in members]


def _roster_now(plan: Plan, id: int) -> list[Person]:
    before = plan.state.rooms.get(id)
    senders = dict.fromkeys(before.roster) if before is not None else {}
    for sender, person in plan.people.items():
        if person is not None and id in person.seen_in:
            senders.setdefault(sender)
        else:
            senders.pop(sender, None)
    found = (plan.person(sender) for sender in senders)
    return [each for each in found if each is not None]

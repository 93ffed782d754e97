"""Whoever may not read a room is shown nothing that depends on what happens in it.

Two worlds begin alike. Different things are done in a room of each; then somebody who may not read
it asks whatever there is to ask, in both. If all that they are told is the same, nothing has told
them of the room: no text, no number, no title, no name, not whether a message exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from hubbub import frames
from hubbub.frames import ClientFrame
from hubbub.wire import Item, Kind
from tests.unit.worker.situations import ROOM, SECRET, Combination, Situation, new
from tests.unit.worker.world import Person
from worker.access import Action, Role, allows

A, R = Action, Role
NUMBERS = range(40)  # some of messages, some of other events, some of nothing
UNDER = (R.GUEST, R.ACCOUNT, R.CLUSTER_OPERATOR)
OUTSIDE = (R.STRANGER, R.INVITED, R.EX_MEMBER, R.BANNED)
# Private?, and who asks.
SHUT_OUT: list[tuple[bool, Combination]] = [
    (private, (to, inside))
    for private in (False, True)
    for to in UNDER
    for inside in (OUTSIDE if private else (R.BANNED,))
    if not (to is R.GUEST and inside is R.EX_MEMBER)
]


class Probe(NamedTuple):
    """Something that may be asked to learn of a room."""

    action: tuple[Action, Action]  # that it takes: if the room is public, if it is private
    make: Callable[[int, Situation], ClientFrame]
    by_number: bool = False  # what is asked for differs by the number alone

    def is_refused(self, situation: Situation) -> bool:
        """Whether the room is not to be seen by this, in a situation."""
        action = self.action[situation.private]
        # Everybody may look around and leave: it must lead to nothing.
        return action in (A.LOOK_AROUND, A.LEAVE) or not allows(action, situation.roles)


NAMES = ("plain", "hushed", "outlaw", "outside", "nobody")
_JOIN, _READ = (A.JOIN_PUBLIC, A.JOIN_PRIVATE), (A.READ_PUBLIC, A.READ_PRIVATE)
_INVITE, _AROUND = (A.INVITE_PUBLIC, A.INVITE_PRIVATE), (A.LOOK_AROUND, A.LOOK_AROUND)


def _in(action: Action) -> tuple[Action, Action]:
    return action, action


# All that may be asked of a room, by number where there is one.
PROBES: list[Probe] = [
    Probe(_JOIN, lambda n, s: frames.Join(0, new(), ROOM)),
    Probe(_JOIN, lambda n, s: frames.Join(0, new(), "DEN", n, 7), True),
    Probe(_READ, lambda n, s: frames.History(0, ROOM, after=n), True),
    Probe(_READ, lambda n, s: frames.History(0, ROOM, before=n), True),
    Probe(_READ, lambda n, s: frames.History(0, ROOM, after=n, epoch=8), True),
    Probe(_READ, lambda n, s: frames.Members(0, ROOM)),
    Probe(_READ, lambda n, s: frames.Members(0, ROOM, True)),
    Probe(_READ, lambda n, s: frames.Search(0, f"{SECRET} in:{ROOM}")),
    Probe(_AROUND, lambda n, s: frames.Search(0, SECRET)),
    Probe(_AROUND, lambda n, s: frames.Search(0, "from:plain said")),
    Probe(_AROUND, lambda n, s: frames.Rooms(0)),
    Probe(_AROUND, lambda n, s: frames.Rooms(0, search=SECRET)),
    Probe(_AROUND, lambda n, s: frames.Rooms(0, search="the")),
    Probe(_AROUND, lambda n, s: frames.Unread(0)),
    Probe(_AROUND, lambda n, s: frames.Peers(0)),
    Probe(_in(A.LEAVE), lambda n, s: frames.Leave(0, new(), "DEN")),
    Probe(_in(A.SAY), lambda n, s: frames.Say(0, new(), ROOM, "x")),
    Probe(_in(A.SAY), lambda n, s: frames.Say(0, new(), ROOM, "x", reply=n), True),
    Probe(_in(A.SAY), lambda n, s: frames.Edit(0, new(), ROOM, n, "x"), True),
    Probe(_in(A.SAY), lambda n, s: frames.React(0, new(), ROOM, n, "+1"), True),
    Probe(_in(A.SAY), lambda n, s: frames.React(0, new(), ROOM, n, "+1", False), True),
    Probe(_in(A.DELETE_OTHERS), lambda n, s: frames.Delete(0, new(), ROOM, n), True),
    Probe(_in(A.MARK_READ), lambda n, s: frames.Read(0, ROOM, n), True),
    Probe(_in(A.TITLE), lambda n, s: frames.Topic(0, new(), ROOM, "x")),
    Probe(_in(A.VISIBILITY), lambda n, s: frames.Visibility(0, new(), ROOM, bool(n % 2))),
    Probe(_INVITE, lambda n, s: frames.Invite(0, new(), ROOM, NAMES[n % 5])),
    Probe(_in(A.KICK), lambda n, s: frames.Kick(0, new(), ROOM, NAMES[n % 5])),
    Probe(_in(A.BAN), lambda n, s: frames.Ban(0, new(), ROOM, NAMES[n % 5])),
    Probe(_in(A.BAN), lambda n, s: frames.Unban(0, new(), ROOM, NAMES[n % 5])),
    Probe(_in(A.MUTE), lambda n, s: frames.Mute(0, new(), ROOM, NAMES[n % 5])),
    Probe(_in(A.MUTE), lambda n, s: frames.Mute(0, new(), ROOM, NAMES[n % 5], on=False)),
    Probe(_in(A.RANK), lambda n, s: frames.Role(0, new(), ROOM, NAMES[n % 5], "operator")),
    Probe(_in(A.RESTRICTIONS), lambda n, s: frames.Restrictions(0, ROOM)),
    Probe(_in(A.OPERATE), lambda n, s: frames.Close(0, new(), ROOM)),
    Probe(_AROUND, lambda n, s: frames.Resume(0, new(), s.token, 7, {ROOM: n}), True),
    Probe(_AROUND, lambda n, s: frames.Resume(0, new(), s.token)),
]


# --- what is done in the room -----------------------------------------------------------------

TEXTS = st.sampled_from([f"the {SECRET}", f"{SECRET} @plain", f"{SECRET} @who said", "the rest"])
SEQS = st.sampled_from(NUMBERS)
INSIDE = ("owner", "deputy", "plain", "hushed")
MEMBERS = st.sampled_from(INSIDE)
DOINGS: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(lambda text: frames.Say(0, new(), ROOM, text), TEXTS),
    st.builds(lambda text: frames.Say(0, new(), ROOM, text), TEXTS),
    st.builds(lambda seq, text: frames.Edit(0, new(), ROOM, seq, text), SEQS, TEXTS),
    st.builds(lambda seq: frames.Delete(0, new(), ROOM, seq), SEQS),
    st.builds(lambda seq: frames.React(0, new(), ROOM, seq, "+1"), SEQS),
    st.builds(lambda seq: frames.Read(0, ROOM, seq), SEQS),
    st.builds(lambda text: frames.Topic(0, new(), ROOM, text), TEXTS),
    st.builds(lambda name: frames.Kick(0, new(), ROOM, name), MEMBERS),
    st.builds(lambda name: frames.Ban(0, new(), ROOM, name), MEMBERS),
    st.builds(lambda name: frames.Mute(0, new(), ROOM, name), MEMBERS),
    st.builds(lambda name: frames.Role(0, new(), ROOM, name, "operator"), MEMBERS),
    st.builds(lambda: frames.Invite(0, new(), ROOM, "outside")),
    st.builds(lambda: frames.Unban(0, new(), ROOM, "outlaw")),
    st.builds(lambda: frames.Leave(0, new(), ROOM)),
    st.builds(lambda: frames.Restrictions(0, ROOM)),
)
Program: TypeAlias = list[tuple[str, ClientFrame]]


def leaves_somebody(program: Program) -> bool:
    """Whether a member is left for certain.

    A private room that all have left is closed: whoever asks for its name finds it free, as is
    meant.
    """
    gone = {
        frame.name if isinstance(frame, frames.Kick | frames.Ban) else name
        for name, frame in program
        if isinstance(frame, frames.Leave | frames.Kick | frames.Ban)
    }
    return len(gone) < len(INSIDE)


PROGRAMS: st.SearchStrategy[Program] = st.lists(st.tuples(MEMBERS, DOINGS), max_size=8).filter(
    leaves_somebody
)


# --- what is told of it -----------------------------------------------------------------------


def told_to(who: Person, items: list[Item]) -> list[Item]:
    """What the gateway of somebody who is in no room shows them of the stream."""
    own = (Kind.PERSONAL, Kind.MEMBER_IN, Kind.MEMBER_OUT)
    return [
        item
        for item in items
        if item.kind == Kind.ANNOUNCEMENT or (item.kind in own and item.sender == who.sender)
    ]


def without_chance(reply: object) -> object:
    """A reply without what is drawn anew each time; an invitation is known to who is invited."""
    if isinstance(reply, frames.Welcome):
        known = [msgspec.structs.replace(each, title="") for each in reply.invitations]
        return msgspec.structs.replace(reply, token="", device="", invitations=known)
    return reply


def told(situation: Situation, program: Program, asked: ClientFrame) -> object:
    """All that the one outside is told of a turn in which others do something, and they ask."""
    world, who, room = situation.world, situation.who, situation.room_id
    assert who is not None
    tasks = [world.task(frame, situation.people[name]) for name, frame in program]
    asks_as = None if isinstance(asked, frames.Resume) else who
    mine = world.task(asked, asks_as, address=who.address)
    answers = world.turn(*tasks, mine)
    plan = world.last
    assert not [each for each in plan.readings if each.task is mine]
    searches = [each for each in plan.searches if each.task is mine]
    for each in searches:
        assert room not in each.own
        assert situation.private or room in each.barred
    answer = next((each for each in answers if each.no == mine.ask.no), None)
    if answer is not None and answer.session:
        situation.who = Person("g1", answer, who.address)
    reply = without_chance(answer.reply) if answer is not None else None
    return reply, [each[1:] for each in searches], told_to(who, world.items)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SHUT_OUT), PROGRAMS, PROGRAMS, st.data())
def test_what_happens_in_a_room_changes_nothing_that_others_are_shown(
    whom: tuple[bool, Combination],
    one_program: Program,
    other_program: Program,
    data: st.DataObject,
) -> None:
    """“Nobody is shown an event of a room at a number when not entitled, on any path.”"""
    private, combination = whom
    one = Situation(*combination, private=private)
    other = one.copy()
    asking = [probe for probe in PROBES if probe.is_refused(one)]
    # Some of it happens in the very turn in which something is asked.
    first = data.draw(st.sampled_from(asking))
    before = [data.draw(st.integers(0, len(each))) for each in (one_program, other_program)]
    for program, upto, world in zip(
        (one_program, other_program), before, (one, other), strict=True
    ):
        for name, frame in program[:upto]:
            world.world.turn(world.world.task(frame, world.people[name]))
    number = data.draw(SEQS)
    asked = first.make(number, one)
    assert told(one, one_program[before[0] :], asked) == told(
        other, other_program[before[1] :], asked
    )
    for probe in asking:
        number = (number + 7) % len(NUMBERS)
        asked = probe.make(number, one)
        assert told(one, [], asked) == told(other, [], asked), asked


@pytest.mark.parametrize("whom", SHUT_OUT, ids=str)
def test_a_refusal_does_not_tell_whether_a_message_exists(whom: tuple[bool, Combination]) -> None:
    """“The same code and text for existing and not existing numbers.”"""
    private, combination = whom
    situation = Situation(*combination, private=private)
    for probe in PROBES:
        if not probe.is_refused(situation) or not probe.by_number:
            continue
        replies = [told(situation, [], probe.make(number, situation)) for number in NUMBERS]
        assert replies == [replies[0]] * len(replies), probe

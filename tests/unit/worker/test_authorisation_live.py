"""Who is shown which number, live and in answers, whatever people do and however turns are cut.

The log itself says who was in a room at a number: that is what everything is held against.
"""

from __future__ import annotations

import copy
from typing import TypeAlias

import msgspec
from hypothesis import given, settings, strategies as st

from hubbub import frames
from hubbub.frames import ClientFrame, Message
from hubbub.wire import Kind
from tests.unit.worker.situations import new
from tests.unit.worker.watched import Watched
from tests.unit.worker.world import no_report
from worker import reads
from worker.tasks import View

NAMES = st.sampled_from(["alice", "bob", "carol", "guest", "chief"])
SEQS = st.integers(0, 30)
TEXTS = st.sampled_from(["hello", "@bob", "@guest @carol"])
MOVES: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(lambda: frames.Join(0, new(), "den")),
    st.builds(lambda: frames.Leave(0, new(), "den")),
    st.builds(lambda text: frames.Say(0, new(), "den", text), TEXTS),
    st.builds(lambda name: frames.Kick(0, new(), "den", name), NAMES),
    st.builds(lambda name: frames.Ban(0, new(), "den", name), NAMES),
    st.builds(lambda name: frames.Unban(0, new(), "den", name), NAMES),
    st.builds(lambda name: frames.Invite(0, new(), "den", name), NAMES),
    st.builds(lambda name: frames.Role(0, new(), "den", name, "owner"), NAMES),
    st.builds(lambda on: frames.Visibility(0, new(), "den", on), st.booleans()),
    st.builds(lambda seq: frames.Read(0, "den", seq), SEQS),
)
LOOKS: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(lambda: frames.History(0, "den")),
    st.builds(lambda seq: frames.History(0, "den", after=seq), st.integers(0, 3)),
    st.builds(lambda seq: frames.History(0, "den", before=seq), SEQS),
    st.builds(lambda offline: frames.Members(0, "den", offline), st.booleans()),
    st.builds(lambda: frames.Rooms(0)),
    st.builds(lambda: frames.Unread(0)),
)
RARE: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(lambda: frames.Close(0, new(), "den")),
    st.builds(lambda name: frames.Suspend(0, new(), name), NAMES),
    st.builds(lambda: frames.Bye(0, new())),
)
WHO = st.sampled_from(["alice", "bob", "bob's other", "carol", "guest", "chief"])
Asks: TypeAlias = list[tuple[str, ClientFrame]]
KEEPING = st.tuples(st.just("alice"), MOVES)  # who owns the room, at first
ASKS: st.SearchStrategy[Asks] = st.lists(
    st.one_of(
        KEEPING,
        st.tuples(WHO, MOVES),
        st.tuples(WHO, LOOKS),
        st.tuples(WHO, LOOKS),
        st.tuples(st.just("chief"), st.one_of(MOVES, RARE)),
    ),
    max_size=25,
)
BEGINNING = Watched()


@settings(max_examples=300, deadline=None)
@given(ASKS, st.data())
def test_nobody_is_shown_a_number_at_which_they_are_not_entitled(
    asks: Asks, data: st.DataObject
) -> None:
    """“Nobody is shown an event of a room at a number when not entitled, on any path.”"""
    watched = copy.deepcopy(BEGINNING)
    while asks:
        size = data.draw(st.integers(1, len(asks)))
        turn, asks = asks[:size], asks[size:]
        watched.turn(turn)
    watched.check()


# --- in one turn ------------------------------------------------------------------------------


def begun() -> Watched:
    """Alice owns the room; bob, carol and a guest are in it, chief is not."""
    return copy.deepcopy(BEGINNING)


def test_who_is_put_out_sees_that_and_nothing_after_it() -> None:
    """“The kick or ban event precedes MEMBER_OUT, so the kicked sees it, and nothing after.”"""
    for frame in (frames.Kick(0, new(), "den", "bob"), frames.Ban(0, new(), "den", "bob")):
        watched = begun()
        head = watched.begun
        watched.turn(
            [
                ("carol", frames.Say(0, new(), "den", "before")),
                ("alice", frame),
                ("carol", frames.Say(0, new(), "den", "after")),
            ]
        )
        numbers = {
            name: [seq for _, seq in each.shown] for name, each in watched.connections.items()
        }
        assert numbers["bob"] == numbers["bob's other"] == [head + 1, head + 2]
        assert numbers["carol"] == [head + 1, head + 2, head + 3]
        watched.check()


def test_what_was_asked_before_the_kick_is_not_answered_with_what_came_after() -> None:
    """Role changes within one turn: an answer is made when all of it is true."""
    looks: list[ClientFrame] = [frames.History(0, "den"), frames.Members(0, "den", True)]
    for look in looks:
        watched = begun()
        watched.turn([("alice", frames.Visibility(0, new(), "den", True))])
        watched.turn(
            [
                ("bob", look),
                ("alice", frames.Kick(0, new(), "den", "bob")),
                ("alice", frames.Say(0, new(), "den", "he is gone")),
            ]
        )


def test_a_page_asked_for_in_the_turn_of_the_ban_shows_nothing() -> None:
    """The same in a public room, for who was never in it."""
    for seconds in (0, 60):
        watched = begun()
        asks: Asks = [
            ("chief", frames.Leave(0, new(), "den")),
            ("bob", frames.Leave(0, new(), "den")),
            ("bob", frames.History(0, "den")),
            ("alice", frames.Ban(0, new(), "den", "bob", seconds=seconds)),
            ("alice", frames.Say(0, new(), "den", "he is gone")),
        ]
        watched.turn(asks)


def test_a_ban_that_is_over_hides_nothing() -> None:
    """“Ban (with a reason and an end).”"""
    watched = begun()
    watched.turn([("alice", frames.Ban(0, new(), "den", "bob", seconds=60))])
    watched.world.at += 60_001
    task = watched.world.task(frames.History(0, "den"), watched.people["bob"])
    assert watched.world.turn(task) == []
    (reading,) = watched.world.last.readings
    view = View(watched.world.state, watched.world.settings, no_report, {})
    page = reads.answer_reading(view, reading, watched.rows(reading)).reply
    assert isinstance(page, frames.Page)
    assert page.head == watched.begun + 1


def test_a_room_made_private_in_a_turn_is_shown_to_nobody_else_in_it() -> None:
    """“A visibility change to private within a turn.”"""
    looks: list[ClientFrame] = [
        frames.History(0, "den"),
        frames.Members(0, "den"),
        frames.Rooms(0),
    ]
    watched = begun()
    watched.turn(
        [
            *(("chief", look) for look in looks),
            ("alice", frames.Visibility(0, new(), "den", True)),
            ("alice", frames.Say(0, new(), "den", "among us")),
            *(("chief", look) for look in looks),
        ]
    )


def test_what_a_search_has_found_is_shown_to_who_may_still_read_it() -> None:
    """A search is answered beside the turns: somebody may be put out before it is."""
    watched = begun()
    state, config, at = watched.world.state, watched.world.settings, watched.world.at

    def readers() -> list[str]:
        names = ("bob", "carol", "guest", "chief")
        sessions = {name: watched.people[name].session for name in names}
        room = watched.room
        return [
            n for n, each in sessions.items() if reads.readable(state, each, [room], config, at)
        ]

    assert readers() == ["bob", "carol", "guest", "chief"]
    watched.turn([("alice", frames.Ban(0, new(), "den", "bob"))])
    assert readers() == ["carol", "guest", "chief"]
    watched.turn([("alice", frames.Visibility(0, new(), "den", True))])
    assert readers() == ["carol", "guest"]
    watched.turn([("chief", frames.Suspend(0, new(), "carol")), ("guest", frames.Bye(0, new()))])
    assert readers() == []


def test_a_closed_room_is_shown_to_nobody_who_asked_in_its_last_turn() -> None:
    """“Ends a room: everybody is out, its log is read no more.”"""
    watched = begun()
    room = watched.world.state.rooms[watched.room]
    task = watched.world.task(frames.Members(0, "den"), watched.people["carol"])
    close = watched.world.task(frames.Close(0, new(), "den"), watched.people["chief"])
    members, _ = watched.world.turn(task, close)
    assert room.closed
    assert isinstance(members.reply, frames.Error)
    assert members.reply.code == "no_such_room"


def test_suspended_amid_a_turn_nothing_more_is_taken_or_shown() -> None:
    """“Suspended while messages are under way in the same turn.”"""
    watched = begun()
    head = watched.begun
    world, bob, chief = watched.world, watched.people["bob"], watched.people["chief"]
    other = watched.people["bob's other"]
    answers = world.turn(
        world.task(frames.Say(0, new(), "den", "before"), bob),
        world.task(frames.Unread(0), bob),
        world.task(frames.Members(0, "den"), other),
        world.task(frames.Suspend(0, new(), "bob"), chief),
        world.task(frames.Say(0, new(), "den", "after"), bob),
        world.task(frames.Say(0, new(), "den", "after"), other),
        world.task(frames.Resume(0, new(), bob.token)),
        world.task(frames.Login(0, new(), token=other.device)),
    )
    codes = [getattr(answer.reply, "code", "") for answer in answers]
    assert codes == ["", "expired", "expired", "", "expired", "expired", "expired", "suspended"]
    assert world.state.rooms[watched.room].head == head + 1
    over = [item.sender for item in world.items if item.kind == Kind.SESSION_OVER]
    assert sorted(over) == sorted([bob.session, other.session])


# --- mentions and marks -----------------------------------------------------------------------


def test_who_is_not_in_a_room_is_not_marked_or_told_when_they_are_named() -> None:
    """“Naming a non-member must not mark or tell.”"""
    watched = begun()
    seq = watched.world.say(watched.people["alice"], "den", "@chief @bob @nobody")
    (row,) = [row for row in watched.world.events if row.seq == seq]
    message = msgspec.msgpack.decode(row.body, type=Message)
    assert message.mentions == [watched.people["bob"].sender]
    chief = watched.people["chief"].sender
    assert (chief, watched.room) not in watched.world.state.mentions
    assert not [item for item in watched.world.items if item.kind == Kind.PERSONAL]
    watched.turn([("alice", frames.Edit(0, new(), "den", seq, "@chief again"))])
    assert (chief, watched.room) not in watched.world.state.mentions


def test_a_read_mark_is_told_to_its_owner_alone() -> None:
    """“Read marks across devices”: not across people."""
    watched = begun()
    seq = watched.world.say(watched.people["alice"], "den", "hello")
    watched.turn([("bob", frames.Read(0, "den", seq))])
    told = {name: len(each.news) for name, each in watched.connections.items()}
    assert told == {name: int(name.startswith("bob")) for name in told}


def test_an_invitation_is_told_to_who_is_invited_alone() -> None:
    """“Invite: ask somebody in.”"""
    watched = begun()
    watched.turn([("alice", frames.Invite(0, new(), "den", "chief"))])
    told = {name: len(each.news) for name, each in watched.connections.items()}
    assert told == {name: int(name == "chief") for name in told}

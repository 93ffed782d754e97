"""Sessions lost, resumed, ended, and what rooms are told of it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings, strategies as st

from hubbub import frames
from hubbub.frames import Bye, Error, Join, Ok, PeerList, Peers, Resume, Say, Welcome
from hubbub.wire import Kind, Lost, Sync, rooms_digest
from tests.unit.worker.world import Person, World, code_of
from worker.lookups import GatewayGone, Syncing, TimePassed
from worker.records import Presence
from worker.tasks import Synced


def resumed(world: World, person: Person, gateway: str = "g2", **more: object) -> Person:
    """The person on a new connection."""
    frame = Resume(0, os.urandom(16), person.token, **more)  # type: ignore[arg-type]
    return Person(gateway, world.turn(world.task(frame, gateway=gateway))[0])


def names_here(world: World, watcher: Person) -> dict[str, str]:
    """Name and state of all peers."""
    listed = world.ask(Peers(0), watcher)
    assert isinstance(listed, PeerList)
    return {peer.name: peer.state for peer in listed.peers}


def test_a_lost_connection_shows_gone_at_once_and_left_after_5_seconds() -> None:
    """“At once `gone`; after `left_after` (5 s) without resume it `left`.”"""
    world = World()
    alice = world.person("alice", "lobby")
    watcher = world.person("watcher", visible=False)
    world.ask(Lost(), alice)
    assert world.told() == [("state", "alice", "gone")]
    assert names_here(world, watcher) == {"alice": "gone"}
    world.now += 4.9
    world.turn(TimePassed())
    assert world.told() == []
    world.now += 0.1
    world.turn(TimePassed())
    assert world.told() == [("left", "alice", "gone")]
    (body,) = (frames.server_decoder.decode(item.body) for item in world.items)
    assert isinstance(body, frames.Presence)
    assert body.why == "connection lost"
    assert names_here(world, watcher) == {}


def test_after_a_minute_the_session_and_its_name_are_over() -> None:
    """“A guest's session, rooms and name end 60 s after the loss.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.ask(Lost(), alice)
    world.now += 5
    world.turn(TimePassed())
    world.now += 54.9
    world.turn(TimePassed())
    assert code_of(world.ask(frames.Hello(0, os.urandom(16), "alice"))) == "name_taken"
    world.now += 0.1
    world.turn(TimePassed())
    assert world.kinds() == [Kind.SESSION_OVER]
    assert world.person("alice").session != alice.session
    assert code_of(world.ask(Resume(0, os.urandom(16), alice.token))) == "expired"


def test_a_resume_before_5_seconds_shows_neither_left_nor_entered() -> None:
    """“Nothing when somebody resumes sooner.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.ask(Lost(), alice)
    world.now += 4
    again = resumed(world, alice)
    assert world.told() == [("state", "alice", "here")]
    assert again.generation == alice.generation + 1
    assert (again.session, again.sender, again.name) == (alice.session, alice.sender, "alice")
    world.now += 60
    world.turn(TimePassed())
    assert world.items == []


def test_a_later_resume_shows_entered_again() -> None:
    """“A later one shows `entered` again.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.ask(Lost(), alice)
    world.now += 5
    world.turn(TimePassed())
    assert not world.state.rooms[1].roster
    resumed(world, alice)
    assert world.told() == [("entered", "alice", "here")]
    assert list(world.state.rooms[1].roster) == [alice.session]


def test_a_resume_ends_the_older_connection_and_its_lost_does_no_harm() -> None:
    """“The gateway that held the older one closes it.”"""
    world = World()
    alice = world.person("alice", "lobby")
    again = resumed(world, alice)
    over = [item for item in world.items if item.kind == Kind.SESSION_OVER]
    assert [(item.sender, item.seq) for item in over] == [(alice.session, again.generation)]
    assert world.told() == []
    assert isinstance(world.ask(Lost(), alice), Ok)  # of the older generation
    assert world.state.sessions[alice.session].presence is Presence.HERE


def test_of_two_that_resume_in_one_turn_the_last_has_the_session() -> None:
    """“The gateway that held the older one closes it”: no session is on two connections."""
    world = World()
    alice = world.person("alice", "lobby")
    first, last = world.turn(
        world.task(Resume(0, os.urandom(16), alice.token), gateway="g2"),
        world.task(Resume(0, os.urandom(16), alice.token), gateway="g3"),
    )
    assert isinstance(first.reply, frames.Error)
    assert first.reply.code == "replaced"
    assert isinstance(last.reply, Welcome)
    session = world.state.sessions[alice.session]
    assert (session.gateway, session.generation) == ("g3", last.generation)


def test_a_resumed_session_has_its_rooms_and_heads() -> None:
    """“Keeps session, rooms and name for a minute after a cut.”"""
    world = World()
    alice = world.person("alice", "lobby", "den")
    world.say(alice, "den", "x")
    task = world.task(Resume(0, os.urandom(16), alice.token), gateway="g2")
    answer = world.turn(task)[0]
    assert isinstance(answer.reply, Welcome)
    assert [(room.room, room.head) for room in answer.reply.rooms] == [("lobby", 0), ("den", 1)]
    assert [room.room for room in answer.rooms] == ["lobby", "den"]


def test_a_resume_with_cursors_of_another_numbering_is_refused() -> None:
    """“A cursor of another epoch, or above the head, is refused.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.say(alice, "lobby", "x")
    for epoch, cursor in ((6, 1), (7, 2)):
        frame = Resume(0, os.urandom(16), alice.token, epoch, {"Lobby": cursor})
        assert code_of(world.ask(frame)) == "epoch_changed"
    assert resumed(world, alice, epoch=7, rooms={"Lobby": 1}).name == "alice"


def test_a_resume_with_a_cursor_above_the_head_is_told_of_which_room() -> None:
    """So that a client forgets the room whose name another has now, and no other."""
    world = World()
    alice = world.person("alice", "lobby", "den")
    world.say(alice, "lobby", "x")
    frame = Resume(0, os.urandom(16), alice.token, 7, {"lobby": 1, "Den": 1})
    reply = world.ask(frame)
    assert isinstance(reply, Error)
    assert (reply.code, reply.room, reply.epoch, reply.head) == ("epoch_changed", "Den", 7, 0)


def test_a_goodbye_frees_the_name_at_once() -> None:
    """“A clean goodbye frees the name at once.”"""
    world = World()
    alice = world.person("alice", "lobby")
    bye = Bye(0, os.urandom(16), "see you")
    assert isinstance(world.ask(bye, alice), Ok)
    assert world.told() == [("left", "alice", "here")]
    assert world.kinds() == [Kind.PRESENCE]  # the asking gateway closes the connection itself
    assert isinstance(world.ask(bye, alice), Ok)
    assert world.items == []
    world.person("alice")


def test_those_who_are_not_visible_are_told_to_nobody() -> None:
    """“Attach without presence: nobody sees them enter or leave.”"""
    world = World()
    world.person("alice", "lobby")
    hidden = world.person("hidden", "lobby", visible=False)
    world.ask(Lost(), hidden)
    hidden = resumed(world, hidden)
    world.ask(Bye(0, os.urandom(16)), hidden)
    assert world.items == []


def test_a_dead_gateways_people_are_gone_in_one_go() -> None:
    """“Its sessions count as lost.”"""
    world = World()
    for name in ("a", "b"):
        world.person(name, "lobby", gateway="g1")
    other = world.person("c", "lobby", gateway="g2")
    world.turn(GatewayGone("g1"))
    assert world.told() == [("state", "a", "gone"), ("state", "b", "gone")]
    assert world.items[-1].kind == Kind.GATEWAY_GONE
    assert names_here(world, other) == {"a": "gone", "b": "gone", "c": "here"}


@pytest.mark.parametrize("news", [GatewayGone("g1"), Syncing(Sync("g1", 1, 5), set())])
def test_what_is_resumed_elsewhere_is_not_lost_with_its_gateway_in_the_same_turn(
    news: GatewayGone | Syncing,
) -> None:
    """Nobody would ask for it again: it would be over in a minute, on a connection that is good."""
    world = World()
    person = world.person("a", "lobby", gateway="g1")
    resume = Resume(0, os.urandom(16), person.token)
    world.turn(world.task(resume, gateway="g2"), news)
    session = world.state.sessions[person.session]
    assert (session.gateway, session.presence) == ("g2", Presence.HERE)


def test_a_gateway_that_lives_after_all_is_given_back_what_nobody_else_has() -> None:
    """“Sessions still within their minute are given back.”"""
    world = World()
    a, b, c = (world.person(name, "lobby", gateway="g1") for name in "abc")
    world.turn(GatewayGone("g1"))
    moved = resumed(world, b, "g2")
    world.now += 5
    world.turn(TimePassed())
    sync = Sync("g1", 1, 5, [(each.session, each.generation) for each in (a, b, c)])
    plan = world.plan([Syncing(sync, set())])
    assert plan.synced == [Synced(sync, [b.session], [])]
    world.turn(Syncing(sync, set()))
    assert world.told() == [("entered", "a", "here"), ("entered", "c", "here")]
    assert world.state.sessions[b.session].gateway == "g2"
    assert moved.generation == world.state.sessions[b.session].generation


def test_a_gateway_is_not_given_back_what_was_resumed_elsewhere_and_lost_there_again() -> None:
    """Its connection is an older one: who holds it would be shown rooms, and could ask nothing."""
    world = World()
    person = world.person("a", "lobby", gateway="g1")
    resumed(world, person, "g2")
    world.turn(GatewayGone("g2"))
    sync = Sync("g1", 1, 5, [(person.session, person.generation)])
    assert world.plan([Syncing(sync, set())]).synced == [Synced(sync, [person.session], [])]
    world.turn(Syncing(sync, set()))
    assert world.state.sessions[person.session].presence is Presence.GONE


def test_a_syncing_gateway_is_told_of_what_happens_in_the_same_turn_too() -> None:
    """Its answer is true at the position after the turn, of which it is shown nothing."""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    sessions = [(alice.session, alice.generation), (bob.session, bob.generation)]
    sync = Syncing(Sync("g1", 1, 1, sessions, [], [rooms_digest([]), rooms_digest([])]), set())
    say = world.task(Say(0, os.urandom(16), "@bob", "hello"), alice)
    assert world.plan([sync, say]).synced[0].differing == [alice.session, bob.session]
    goodbye = world.task(Bye(0, os.urandom(16)), bob)
    assert world.plan([sync, goodbye]).synced[0].over == [bob.session]


@pytest.mark.parametrize("text", ["see you", *sorted(frames.TOLD_BY_EVENT)])
def test_nobodys_goodbye_makes_others_wait_for_an_event_that_never_comes(text: str) -> None:
    """“A member that came or went for good is told of by an `event`, too.”"""
    world = World()
    guest = world.person("guest", "lobby")
    world.person("alice", "lobby")
    world.ask(Bye(0, os.urandom(16), text), guest)
    (item,) = [item for item in world.items if item.kind == Kind.PRESENCE]
    body = frames.server_decoder.decode(item.body)
    assert isinstance(body, frames.Presence)
    assert (body.change, body.why) == ("left", text if text == "see you" else "")


def test_what_a_syncing_gateway_does_not_list_is_lost_unless_it_was_just_opened() -> None:
    """A session whose `welcome` is on its way cannot be listed yet."""
    world = World()
    lost, fresh = world.person("lost", "lobby"), world.person("fresh", "lobby")
    world.turn(Syncing(Sync("g1", 1, 1), {fresh.session}))
    assert world.told() == [("state", "lost", "gone")]
    assert world.state.sessions[lost.session].presence is Presence.GONE


def test_whoever_asks_is_here() -> None:
    """A gateway that was silent for a while and asks for a session has it still."""
    world = World()
    alice = world.person("alice", "lobby")
    world.turn(GatewayGone("g1"))
    world.ask(Say(0, os.urandom(16), "lobby", "x"), alice)
    assert world.told() == [("state", "alice", "here")]
    world.turn(GatewayGone("g1"))
    world.turn(world.task(frames.Members(0, "lobby"), alice, again=True))  # an old read, repeated
    assert world.told() == []


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["lost", "resume", "gone", "sync", "time", "bye", "join"]),
        st.integers(0, 2),
        st.floats(0, 30),
    ),
    max_size=40,
)


@settings(max_examples=100)
@given(EVENTS)
def test_rosters_are_what_the_presence_items_say(events: list[tuple[str, int, float]]) -> None:
    """“Its changes travel on the stream, so they are exact.”"""
    world = World()
    people = [world.person(f"p{n}", "lobby", gateway=f"g{n % 2}") for n in range(3)]
    told: dict[int, str] = {person.sender: "here" for person in people}
    for what, who, passed in events:
        person = people[who]
        if what == "lost":
            world.ask(Lost(), person)
        elif what == "resume":
            answer = world.turn(world.task(Resume(0, os.urandom(16), person.token), gateway="g1"))
            if isinstance(answer[0].reply, Welcome):
                people[who] = Person("g1", answer[0])
        elif what == "gone":
            world.turn(GatewayGone(f"g{who % 2}"))
        elif what == "sync":
            mine = [(each.session, each.generation) for each in people if each.gateway == "g1"]
            world.turn(Syncing(Sync("g1", 1, 1, mine), set()))
        elif what == "bye":
            world.ask(Bye(0, os.urandom(16)), person)
        elif what == "join":
            world.ask(Join(0, os.urandom(16), "lobby"), person)
        else:
            world.now += passed
            world.turn(TimePassed())
        for item in world.items:
            if item.kind == Kind.PRESENCE:
                body = frames.server_decoder.decode(item.body)
                assert isinstance(body, frames.Presence)
                if body.change == "left":
                    del told[body.sender]
                else:
                    assert (body.change == "entered") == (body.sender not in told)
                    told[body.sender] = body.state
        world.items = []
        roster = {
            world.state.sessions[id].sender: world.state.sessions[id].presence
            for id in world.state.rooms[1].roster
        }
        assert {sender: state == "here" for sender, state in told.items()} == {
            sender: presence is Presence.HERE for sender, presence in roster.items()
        }
        gone = set(world.state.gone) | set(world.state.left)
        away = {id for id, each in world.state.sessions.items() if each.presence > Presence.HERE}
        assert gone == away
        assert list(world.state.gone.values()) == sorted(world.state.gone.values())

"""What asks lead to: numbers, retries, refusals."""

from __future__ import annotations

import copy
import os

from hypothesis import given, settings, strategies as st

from hubbub import frames, wire
from hubbub.frames import (
    Away,
    Bye,
    Error,
    Hello,
    Join,
    Leave,
    Message,
    Nick,
    Ok,
    PeerList,
    Peers,
    Ping,
    Pong,
    RoomList,
    Rooms,
    Roster,
    Say,
    Welcome,
)
from hubbub.wire import Fetch, Kind, Lost
from tests.unit.worker.world import Person, World, code_of
from worker.records import Done
from worker.rules import BrokenAskError, decide


def id_of(number: int) -> bytes:
    """An id that is told apart by a number."""
    return number.to_bytes(16)


# --- saying -----------------------------------------------------------------------------------


def test_what_is_said_is_numbered_from_1_in_the_order_of_the_asks() -> None:
    """“All members of a room see the same events in the same order, numbered 1, 2, 3”"""
    world = World()
    alice, bob = world.person("alice", "lobby"), world.person("bob", "lobby")
    tasks = [
        world.task(Say(0, id_of(n), "Lobby", str(n)), alice if n % 2 else bob) for n in range(9)
    ]
    numbers = [answer.reply.seq for answer in world.turn(*tasks) if isinstance(answer.reply, Ok)]
    assert numbers == list(range(1, 10))
    assert [item.seq for item in world.items] == numbers
    bodies = [frames.server_decoder.decode(item.body) for item in world.items]
    assert [body.text for body in bodies if isinstance(body, Message)] == list("012345678")
    assert [body.count for body in bodies if isinstance(body, Message)] == numbers


def test_asked_again_it_is_answered_as_before_and_stored_once() -> None:
    """“Exactly once. A retried message is stored and shown once.”"""
    world = World()
    alice = world.person("alice", "lobby")
    first = world.ask(Say(0, id_of(1), "lobby", "hello"), alice)
    world.say(alice, "lobby", "more")
    assert world.ask(Say(5, id_of(1), "lobby", "hello"), alice) == first
    assert (world.items, len(world.events)) == ([], 2)


def test_the_same_id_twice_in_one_turn_is_stored_once() -> None:
    """“The same id sent through two gateways at once: stored once, both answered alike.”"""
    world = World()
    alice = world.person("alice", "lobby")
    say = Say(0, id_of(1), "lobby", "hello")
    one, two = world.turn(world.task(say, alice), world.task(say, alice, gateway="g2"))
    assert one.reply == two.reply
    assert len(world.events) == 1


def test_the_same_id_with_another_body_is_a_conflict() -> None:
    """“The same id with another body is `conflict`.”"""
    world = World()
    alice = world.person("alice", "lobby", "den")
    world.say(alice, "lobby", "hello", id_of(1))
    for other in (
        Say(0, id_of(1), "lobby", "hullo"),
        Say(0, id_of(1), "den", "hello"),
        Say(0, id_of(1), "lobby", "hello", reply=1),
        Say(0, id_of(1), "lobby", "hello", action=True),
        Leave(0, id_of(1), "lobby"),
    ):
        assert code_of(world.ask(other, alice)) == "conflict"
    assert len(world.events) == 1


def test_ids_of_different_people_have_nothing_to_do_with_each_other() -> None:
    """Keys are (sender, id)."""
    world = World()
    alice, bob = world.person("alice", "lobby"), world.person("bob", "lobby")
    assert world.say(alice, "lobby", "hello", id_of(1)) == 1
    assert world.say(bob, "lobby", "hello", id_of(1)) == 2


def test_what_was_stored_is_acknowledged_even_when_it_would_be_refused_now() -> None:
    """“It looks the answer up before numbering, permission and limits.”"""
    world = World()
    alice = world.person("alice", "lobby")
    stored = world.ask(Say(0, id_of(1), "lobby", "hello"), alice)
    world.ask(Leave(0, id_of(2), "lobby"), alice)
    assert world.ask(Say(0, id_of(1), "lobby", "hello"), alice) == stored
    assert code_of(world.ask(Say(0, id_of(3), "lobby", "hello"), alice)) == "not_member"
    world.ask(Bye(0, id_of(4)), alice)
    assert world.ask(Say(0, id_of(1), "lobby", "hello"), alice) == stored
    assert code_of(world.ask(Say(0, id_of(3), "lobby", "hello"), alice)) == "expired"


def test_a_goodbye_in_the_same_turn_does_not_undo_what_was_stored() -> None:
    """An acknowledgement that was lost is given again, whatever has happened since."""
    world = World()
    alice = world.person("alice", "lobby")
    frame = Say(0, id_of(1), "lobby", "hello")
    stored = world.ask(frame, alice)
    answers = world.turn(world.task(Bye(0, id_of(2)), alice), world.task(frame, alice))
    assert answers[1].reply == stored


def test_saying_where_one_is_not_is_refused() -> None:
    """“Join the room first.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.person("bob", "den")
    assert code_of(world.ask(Say(0, id_of(1), "den", "x"), alice)) == "not_member"
    assert code_of(world.ask(Say(0, id_of(2), "attic", "x"), alice)) == "no_such_room"
    assert not world.events


def test_an_older_generation_is_refused() -> None:
    """“A request whose (session, generation) is not the current one is refused with `replaced`.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.ask(frames.Resume(0, id_of(1), alice.token), gateway="g2")
    assert code_of(world.ask(Say(0, id_of(2), "lobby", "x"), alice)) == "replaced"
    assert not world.events


# --- hello and names --------------------------------------------------------------------------


def test_a_hello_asked_again_gives_the_same_person_and_a_token_that_works() -> None:
    """“A repeated hello returns the same session.”"""
    world = World()
    hello = Hello(0, id_of(1), "alice")
    one = Person("g1", world.turn(world.task(hello))[0])
    two = Person("g2", world.turn(world.task(hello, gateway="g2"))[0])
    assert (one.session, one.sender) == (two.session, two.sender)
    assert two.generation > one.generation  # whoever holds the first answer is told that it is over
    assert Kind.SESSION_OVER in world.kinds()
    assert isinstance(world.ask(frames.Resume(0, id_of(2), two.token)), Welcome)
    assert code_of(world.ask(Hello(0, id_of(1), "bob"))) == "conflict"


def test_a_hello_said_again_after_its_session_is_that_person_again() -> None:
    """“`sender` is given at the first hello, never reused”: ids of that person stay done."""
    world = World()
    hello = Hello(0, id_of(1), "alice")
    one = Person("g1", world.turn(world.task(hello))[0])
    world.ask(Bye(0, id_of(2)), one)
    two = Person("g1", world.turn(world.task(hello))[0])
    assert two.sender == one.sender
    assert two.session != one.session


def test_a_name_is_one_persons_until_it_is_free() -> None:
    """“Somebody else under their name” must never be met."""
    world = World()
    alice = world.person("Alice")
    assert code_of(world.ask(Hello(0, os.urandom(16), "aLICE"))) == "name_taken"
    assert code_of(world.ask(Nick(0, id_of(1), "alice"), world.person("bob"))) == "name_taken"
    assert isinstance(world.ask(Nick(0, id_of(2), "ALICE"), alice), Ok)  # one's own, written anew
    world.ask(Bye(0, id_of(3)), alice)
    assert world.person("alice").name == "alice"


def test_a_name_that_is_freed_in_a_turn_can_be_taken_in_it() -> None:
    """Names pass on in the order of the asks."""
    world = World()
    alice, bob = world.person("alice"), world.person("bob")
    answers = world.turn(
        world.task(Join(0, id_of(1), "lobby"), bob),
        world.task(Nick(0, id_of(1), "ada"), alice),
        world.task(Nick(0, id_of(2), "alice"), bob),
        world.task(Hello(0, id_of(3), "bob")),
    )
    assert not [answer for answer in answers if isinstance(answer.reply, Error)]
    names = {person.name: person.sender for person in world.state.people.values()}
    assert {key: names[key] for key in ("ada", "alice")} == {
        "ada": alice.sender,
        "alice": bob.sender,
    }
    assert world.state.names == names


def test_guests_get_fresh_names() -> None:
    """“Without a name: a fresh guest name is given.”"""
    world = World()
    names = {world.person().name for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith("guest-") for name in names)


def test_renaming_is_told_in_every_room_that_one_is_seen_in() -> None:
    """“Every room one is seen in gets a `renamed` event.”"""
    world = World()
    alice = world.person("alice", "lobby", "den")
    hidden = world.person("hidden", "lobby", visible=False)
    world.ask(Nick(0, id_of(1), "ada"), alice)
    assert world.kinds() == [Kind.SESSION_RENAMED, Kind.EVENT, Kind.EVENT]
    event = frames.server_decoder.decode(world.items[1].body)
    assert isinstance(event, frames.Event)
    assert (event.kind, event.name, event.to, event.count) == ("renamed", "alice", "ada", 0)
    world.ask(Nick(0, id_of(2), "unseen"), hidden)
    assert world.kinds() == [Kind.SESSION_RENAMED]


def test_names_that_may_not_be_are_refused() -> None:
    """“Control, bidirectional and zero-width characters refused.”"""
    world = World()
    alice = world.person("alice")
    for name in ("lobby\n", "a\u202eb", "a\x1b[31m", "x" * 33, "\u0301a"):
        assert code_of(world.ask(Join(0, os.urandom(16), name), alice)) == "bad_name"
        assert code_of(world.ask(Hello(0, os.urandom(16), name))) == "bad_name"


# --- rooms ------------------------------------------------------------------------------------


def test_joining_twice_is_entering_once() -> None:
    """“Joining twice is idempotent.”"""
    world = World()
    alice = world.person("alice")
    one = world.ask(Join(0, id_of(1), "Lobby"), alice)
    assert world.told() == [("entered", "alice", "here")]
    assert world.ask(Join(0, id_of(2), "lobby"), alice) == one
    assert world.ask(Join(0, id_of(1), "Lobby"), alice) == one
    assert world.items == []
    assert isinstance(one, Roster)
    assert one.room == "Lobby"


def test_an_old_join_asked_again_does_not_bring_anybody_back() -> None:
    """“Repeated out of an old batch they must not be applied twice.”"""
    world = World()
    alice = world.person("alice")
    join, leave = Join(0, id_of(1), "lobby"), Leave(0, id_of(2), "lobby")
    world.ask(join, alice)
    world.ask(leave, alice)
    world.ask(join, alice)
    world.ask(leave, alice)
    assert world.items == []
    assert not world.state.people[alice.sender].rooms


def test_a_join_asked_again_by_a_session_that_is_over_shows_nothing() -> None:
    """“Or the session be over”, though its person is in the room, on another device."""
    world = World()
    phone = world.account("ann")
    world.login("ann")
    join = Join(0, id_of(1), "lobby")
    world.ask(join, phone)
    _, again = world.turn(
        world.task(Bye(0, id_of(2)), phone), world.task(join, phone, snapshot=True)
    )
    assert again == wire.Answer(world.no, Roster(0, "lobby", 0, epoch=7), inside=False)
    assert phone.sender in world.state.rooms[1].members


def test_rooms_and_people_in_them_are_limited() -> None:
    """“Every buffer has a bound.”"""
    world = World(max_rooms=2, max_members=2)
    alice = world.person("alice", "a", "b")
    assert code_of(world.ask(Join(0, id_of(1), "c"), alice)) == "limit"
    world.person("bob", "a")
    carol, dave = world.person("carol"), world.person("dave")
    assert code_of(world.ask(Join(0, id_of(1), "a"), carol)) == "limit"
    answers = world.turn(
        world.task(Leave(0, id_of(2), "a"), alice),
        world.task(Join(0, id_of(2), "a"), carol),
        world.task(Join(0, id_of(2), "a"), dave),
    )
    assert [isinstance(answer.reply, Error) for answer in answers] == [False, False, True]


def test_a_cursor_of_another_numbering_is_refused_with_todays() -> None:
    """“A cursor of another epoch, or above the head, is refused with epoch and head.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.say(alice, "lobby", "x")
    for ask in (
        Join(0, id_of(1), "lobby", 1, 6),
        Join(0, id_of(1), "lobby", 2, 7),
        frames.History(0, "lobby", after=1, epoch=6),
        frames.History(0, "lobby", after=2, epoch=7),
    ):
        error = world.ask(ask, alice)
        assert isinstance(error, Error)
        assert (error.code, error.epoch, error.head) == ("epoch_changed", 7, 1)
    assert isinstance(world.ask(Join(0, id_of(1), "lobby", 1, 7), alice), Roster)


def test_a_snapshot_holds_whoever_is_seen() -> None:
    """“The answer carries the roster and the head.”"""
    world = World()
    alice = world.person("alice", "lobby")
    world.person("hidden", "lobby", visible=False)
    world.say(alice, "lobby", "x")
    bob = world.person("bob")
    task = world.task(Join(0, id_of(1), "lobby"), bob, snapshot=True)
    (room,) = world.turn(task)[0].rooms
    assert (room.room, room.head, room.count) == ("lobby", 1, 1)
    assert [person.name for person in room.roster] == ["alice", "bob"]


# --- reads ------------------------------------------------------------------------------------


def test_lists_are_paged_by_name_without_a_hole() -> None:
    """“`more`: ask again with `after` = the last name.”"""
    world = World()
    for name in ("d", "B", "a", "C"):
        world.person(f"p-{name}", name)
    alice = world.person("hidden", visible=False)
    rooms, peers = [], []
    more, after = True, ""
    while more:
        listed = world.ask(Rooms(0, after, 2), alice)
        assert isinstance(listed, RoomList)
        rooms += [info.room for info in listed.rooms]
        more, after = listed.more, rooms[-1]
    more, after = True, ""
    while more:
        found = world.ask(Peers(0, after, 3), alice)
        assert isinstance(found, PeerList)
        peers += [peer.name for peer in found.peers]
        more, after = found.more, peers[-1]
    assert rooms == ["a", "B", "C", "d"]
    assert peers == ["p-a", "p-B", "p-C", "p-d"]


def test_only_gateways_ask_without_a_session() -> None:
    """“Asks before a session: only Hello, Resume.”"""
    world = World()
    assert isinstance(world.ask(Ping(0)), Pong)
    for frame in (Say(0, id_of(1), "lobby", "x"), Rooms(0), Peers(0), Bye(0, id_of(1)), Lost()):
        assert code_of(world.ask(frame)) == "wrong_time"
    assert code_of(world.ask(Fetch(1, 0), world.person("alice"))) == "not_allowed"


# --- plans ------------------------------------------------------------------------------------

TEXTS = st.text("ab", min_size=1, max_size=2)
ROOMS = st.sampled_from(["lobby", "den", "Lobby"])
NUMBERS = st.integers(0, 12)
FRAMES = st.one_of(
    st.builds(lambda n, room, text: Say(0, id_of(n), room, text), NUMBERS, ROOMS, TEXTS),
    st.builds(lambda n, room: Join(0, id_of(n), room), NUMBERS, ROOMS),
    st.builds(lambda n, room: Leave(0, id_of(n), room), NUMBERS, ROOMS),
    st.builds(lambda n, name: Nick(0, id_of(n), name), NUMBERS, st.sampled_from("xyz")),
    st.builds(lambda n: Hello(0, id_of(n), None), NUMBERS),
    st.just(Lost()),
)
ASKS = st.lists(st.tuples(st.integers(0, 2), FRAMES), max_size=30)


def remembered(world: World) -> object:
    """All that the state holds, as values."""
    state = world.state
    rooms = {
        id: (room.name, room.head, room.count, set(room.members), list(room.roster))
        for id, room in state.rooms.items()
    }
    plain = {
        key: copy.deepcopy(value) for key, value in vars(state).items() if key not in ("rooms",)
    }
    return rooms, plain


@settings(max_examples=60)
@given(ASKS)
def test_deciding_changes_nothing_until_it_is_applied(asks: list[tuple[int, frames.Frame]]) -> None:
    """“Nothing in memory has moved so far.”"""
    world = World()
    people = [world.person(name, "lobby") for name in ("alice", "bob", "carol")]
    before = remembered(world)
    world.plan([world.task(frame, people[who]) for who, frame in asks])  # type: ignore[arg-type]
    assert remembered(world) == before


@settings(max_examples=100)
@given(ASKS, st.data())
def test_however_asks_are_cut_into_turns_numbers_have_no_hole_and_retries_no_effect(
    asks: list[tuple[int, frames.Frame]], data: st.DataObject
) -> None:
    """“Numbered 1, 2, 3 ... without a hole”; “a request repeated with its id is done once”."""
    world = World()
    people = [world.person(name, "lobby", "den") for name in ("alice", "bob", "carol")]
    answered: dict[tuple[int, bytes], tuple[str, frames.Frame]] = {}
    left = list(asks)
    while left:
        size = data.draw(st.integers(1, len(left)))
        turn, left = left[:size], left[size:]
        tasks = [world.task(frame, people[who]) for who, frame in turn]  # type: ignore[arg-type]
        for (who, frame), answer in zip(turn, world.turn(*tasks), strict=True):
            if isinstance(frame, Say) and isinstance(answer.reply, Ok):
                key = (people[who].sender, frame.id)
                said = (frame.text, answer.reply)
                assert answered.setdefault(key, said) == said
        for person in people:
            session = world.state.sessions.get(person.session)
            assert session is None or session.sender == person.sender
    for room in world.state.rooms.values():
        log = [row for row in world.events if row.room == room.id]
        assert [row.seq for row in log] == list(range(1, room.head + 1))
        assert room.count == sum(row.kind == Kind.MESSAGE for row in log)
        assert [row.messages for row in log] == sorted(row.messages for row in log)
        seen = {id for id, each in world.state.people.items() if room.id in each.seen_in}
        assert set(room.roster) == seen
    said_once = [row for row in world.events if row.kind == Kind.MESSAGE]
    assert len(said_once) == len(answered)


def test_a_bug_in_one_ask_names_it_and_spares_the_others() -> None:
    """“Nothing that a client sends makes” the others wait."""
    world = World()
    alice = world.person("alice", "lobby")
    tasks = [world.task(Say(0, id_of(n), "lobby", str(n)), alice) for n in range(3)]
    # A done request of a room that does not exist: no client can make it, a bug of ours may.
    say = tasks[1].ask.frame
    assert isinstance(say, Say)
    from worker.messages import say_digest

    world.done[alice.sender, id_of(1)] = Done(say_digest(say), 0, 99, 1)
    try:
        world.plan(tasks)
        raise AssertionError("no bug was found")
    except BrokenAskError as error:
        broken = error.index
    assert broken == 1
    known = world.known(tasks)
    plan = decide(
        world.state, tasks, known, world.settings, at=0, now=0.0, broken=frozenset({broken})
    )
    assert len(plan.events) == 2
    assert len(plan.answers) == 3


# --- limits -----------------------------------------------------------------------------------


def test_what_is_told_in_every_room_counts_as_often() -> None:
    """“No one can hurt the others”: by one request that costs as much as hundreds."""
    world = World()
    alice, bob = world.account("alice", *(f"room-{n}" for n in range(30))), world.account("bob")
    for number in range(60):
        world.person(f"guest-{number}", "lobby")
    costs: list[tuple[type, int]] = []

    def wait(sender: int, frame: type, cost: int) -> float:
        costs.append((frame, cost))
        return 3.0 if frame is Nick else 0.0

    world.wait = wait
    refused = world.ask(Nick(0, id_of(1), "alicia"), alice)
    assert isinstance(refused, Error)
    assert (refused.code, refused.retry_after) == ("limit", 3.0)
    world.ask(Away(0, id_of(2)), alice)
    world.ask(Join(0, id_of(3), "lobby"), bob)  # who has one device is told by the answer
    world.ask(Leave(0, id_of(4), "lobby"), bob)
    world.login("bob")
    world.ask(Join(0, id_of(5), "lobby"), bob)
    world.ask(Join(0, id_of(6), "lobby"), bob)
    world.ask(Say(0, id_of(7), "@bob", "hello"), alice)
    world.ask(Leave(0, id_of(8), f"@{alice.sender}:{bob.sender}"), alice)
    world.ask(Nick(0, id_of(9), "alicia"), alice)  # bob, who has stayed, is told
    kinds = [(Nick, 31), (Away, 4), (Join, 1), (Leave, 1), (Join, 4), (Join, 1)]
    assert costs == [*kinds, (Say, 1), (Leave, 1), (Nick, 32)]

"""Conversations of two: to whoever is away, blocked, gone, back, or called otherwise."""

from __future__ import annotations

from hubbub import frames
from hubbub.frames import Block, Bye, Edit, Invite, Join, Leave, Nick, Ok, React, Roster, Say
from hubbub.names import direct_room
from hubbub.wire import Kind
from tests.unit.worker.looking import log, new, of_kind, rooms_of, state, unread
from tests.unit.worker.world import Person, World, code_of
from worker.accounts import MOST_BLOCKED
from worker.presence import change


def two(world: World) -> tuple[Person, Person, str]:
    """Two accounts, and what their conversation is called."""
    alice, bob = world.account("alice"), world.account("bob")
    return alice, bob, direct_room(alice.sender, bob.sender)


def error(reply: frames.Frame) -> frames.Error:
    """A refusal."""
    assert isinstance(reply, frames.Error), reply
    return reply


def test_what_is_said_to_somebody_who_is_away_is_there_unread_when_they_come() -> None:
    """“A private message to an offline person is there when they come, unread.”"""
    world = World()
    alice, bob, room = two(world)
    world.ask(Bye(0, new()), bob)
    reply = world.ask(Say(0, new(), "@bob", "call me"), alice)
    assert reply == Ok(0, room, 1, world.at)
    welcome = world.login("bob").welcome
    (own,) = welcome.rooms
    assert (own.room, own.count - own.marked, own.private) == (room, 1, True)
    assert own.peer is not None
    assert (own.peer.name, own.peer.state) == ("alice", "here")
    assert unread(world, alice, room) == 0


def test_both_sides_are_let_in_on_all_their_connections() -> None:
    """“Entered by MEMBER_IN”, the asking one too: an `ok` lets nobody into a room."""
    world = World()
    alice, bob, room = two(world)
    world.login("bob", gateway="g2")
    world.ask(Say(0, new(), "@bob", "hi"), alice)
    entered = of_kind(world, Kind.MEMBER_IN)
    assert {(item.sender, item.seq) for item in entered} == {(alice.sender, 0), (bob.sender, 0)}
    kinds = world.kinds()
    assert kinds.index(Kind.MESSAGE) > max(n for n, k in enumerate(kinds) if k == Kind.MEMBER_IN)
    assert rooms_of(world, alice) == rooms_of(world, bob) == {room}


def test_there_is_one_conversation_whoever_begins_it_and_however_it_is_called() -> None:
    """“The same from both sides”; “answers and events always carry the canonical name.”"""
    world = World()
    alice, bob, room = two(world)
    replies = [
        world.ask(Say(0, new(), "@bob", "1"), alice),
        world.ask(Say(0, new(), "@ALICE", "2"), bob),
        world.ask(Say(0, new(), room, "3"), alice),
    ]
    assert [(each.room, each.seq) for each in replies if isinstance(each, Ok)] == [
        (room, n) for n in (1, 2, 3)
    ]
    joined = world.ask(Join(0, new(), "@bob"), alice)
    assert isinstance(joined, Roster)
    assert joined.peer is not None
    assert (joined.room, joined.peer.name) == (room, "bob")


def test_opening_a_conversation_says_nothing_and_both_are_in_it() -> None:
    """“`@NAME` is the conversation with that person.”"""
    world = World()
    alice, bob, room = two(world)
    assert isinstance(world.ask(Join(0, new(), "@bob"), alice), Roster)
    assert (log(world), rooms_of(world, bob)) == ([], {room})


def test_nobody_else_reads_or_enters_a_conversation() -> None:
    """“Of other rooms nobody”: it is as if it did not exist, for operators of the cluster, too."""
    world = World()
    alice, _, room = two(world)
    world.ask(Say(0, new(), "@bob", "secret"), alice)
    op = world.account("op", operator=True)
    for frame in (
        Say(0, new(), room, "x"),
        Join(0, new(), room),
        frames.History(0, room),
        frames.Members(0, room),
        frames.Delete(0, new(), room, 1),
        frames.Read(0, room, 1),
        React(0, new(), room, 1, "+1"),
    ):
        assert code_of(world.ask(frame, op)) == "no_such_room", frame
    assert len(log(world)) == 1


def test_nobody_talks_to_themselves() -> None:
    """“that is you”"""
    world = World()
    alice, _, _ = two(world)
    for name in ("@alice", direct_room(alice.sender, alice.sender)):
        assert code_of(world.ask(Say(0, new(), name, "x"), alice)) == "not_allowed"


def test_whoever_is_not_there_is_not_written_to() -> None:
    """“There is nobody called so”: a typing error makes no conversation."""
    world = World()
    alice, _, _ = two(world)
    assert code_of(world.ask(Say(0, new(), "@nobody", "x"), alice)) == "no_such_person"
    assert not world.state.rooms


def test_a_refused_first_word_makes_no_conversation() -> None:
    """“The handlers check everything before they change anything.”"""
    world = World()
    alice, bob, _ = two(world)
    say = Say(0, new(), "@bob", "x", reply=7)
    assert code_of(world.ask(say, alice)) == "no_such_message"
    assert (world.items, rooms_of(world, bob), dict(world.state.rooms)) == ([], set(), {})


# --- blocking ---------------------------------------------------------------------------------


def test_the_blocked_are_told_that_they_cannot_and_not_why() -> None:
    """“Blocked people get a clear refusal that does not tell more than it must.”"""
    world = World()
    alice, bob, _ = two(world)
    world.ask(Block(0, new(), "bob"), alice)
    assert world.items == []  # nobody is told of it
    refused = error(world.ask(Say(0, new(), "@alice", "hey"), bob))
    assert (refused.code, refused.text) == ("not_allowed", "you cannot write to alice")
    assert "block" not in refused.text
    assert not world.state.rooms


def test_whoever_blocks_somebody_is_told_so_when_they_write_to_them() -> None:
    """“You have blocked bob; unblock them first”: an answer could not reach them."""
    world = World()
    alice, _, _ = two(world)
    world.ask(Block(0, new(), "bob"), alice)
    refused = error(world.ask(Say(0, new(), "@bob", "hey"), alice))
    assert refused.text == "you have blocked bob; unblock them first"
    world.ask(Block(0, new(), "bob", on=False), alice)
    assert isinstance(world.ask(Say(0, new(), "@bob", "hey"), alice), Ok)


def test_a_block_holds_in_a_conversation_that_there_is_already() -> None:
    """“Take no private messages and invitations of somebody any more”, in any form."""
    world = World()
    alice, bob, room = two(world)
    world.ask(Say(0, new(), "@alice", "hello"), bob)
    world.ask(Block(0, new(), "bob"), alice)
    world.ask(Join(0, new(), "lobby"), bob)
    for frame in (
        Say(0, new(), room, "x"),
        Edit(0, new(), room, 1, "x"),
        React(0, new(), room, 1, "+1"),
        frames.Delete(0, new(), room, 1, "x"),
        Invite(0, new(), "lobby", "alice"),
    ):
        assert code_of(world.ask(frame, bob)) == "not_allowed", frame
    assert len(log(world)) == 1
    assert isinstance(world.ask(frames.Delete(0, new(), room, 1), bob), Ok)  # takes away, adds none


def test_blocked_people_meet_in_public_rooms() -> None:
    """“Nothing private”: a room of others is theirs, too."""
    world = World()
    alice, bob, _ = two(world)
    world.ask(Block(0, new(), "bob"), alice)
    for each in (alice, bob):
        world.ask(Join(0, new(), "lobby"), each)
    assert world.say(bob, "lobby", "@alice hello")


# --- leaving, going, coming back --------------------------------------------------------------


def test_whoever_left_a_conversation_is_back_when_they_are_written_to() -> None:
    """“Bring the other one back in”, with what is new unread."""
    world = World()
    alice, bob, room = two(world)
    world.ask(Say(0, new(), "@bob", "one"), alice)
    world.ask(Leave(0, new(), "@alice"), bob)
    assert rooms_of(world, bob) == set()
    assert log(world)[-1].seq == 1  # who looks into it is nobody's business
    world.ask(Say(0, new(), "@bob", "two"), alice)
    assert (rooms_of(world, bob), unread(world, bob, room)) == ({room}, 1)


def test_a_guest_that_is_gone_is_not_written_to_nor_whoever_has_the_name_now() -> None:
    """“A name may pass to another”; a conversation does not."""
    world = World()
    alice, guest = world.account("alice"), world.person("rita")
    room = direct_room(alice.sender, guest.sender)
    world.ask(Say(0, new(), "@rita", "hello"), alice)
    world.ask(Bye(0, new()), guest)
    for frame in (Say(0, new(), room, "x"), Edit(0, new(), room, 1, "x")):
        assert code_of(world.ask(frame, alice)) == "no_such_person"
    peer = state(world, alice, room).peer
    assert peer is not None
    assert (peer.name, peer.state) == ("rita", "offline")  # what was said is read still
    other = world.person("rita")
    reply = world.ask(Say(0, new(), "@rita", "hello"), alice)
    assert isinstance(reply, Ok)
    assert (reply.room, reply.seq) == (direct_room(alice.sender, other.sender), 1)
    assert isinstance(world.ask(Leave(0, new(), room), alice), Ok)
    assert rooms_of(world, alice) == {direct_room(alice.sender, other.sender)}


def test_a_guest_that_registers_keeps_the_conversation() -> None:
    """“`sender` is kept when a guest becomes an account.”"""
    world = World()
    alice, rita = world.account("alice"), world.person("rita")
    world.ask(Say(0, new(), "@rita", "one"), alice)
    world.register(rita)
    world.ask(Bye(0, new()), rita)
    world.ask(Say(0, new(), "@rita", "two"), alice)
    (own,) = world.login("rita").welcome.rooms
    assert (own.count, own.marked) == (2, 0)


def test_a_deleted_account_is_not_written_to() -> None:
    """“There is nobody there any more.”"""
    world = World()
    alice, bob, room = two(world)
    world.ask(Say(0, new(), "@bob", "hello"), alice)
    world.turn(world.checked(frames.Unregister(0, new(), "x"), bob))
    for name in ("@bob", room):
        assert code_of(world.ask(Say(0, new(), name, "x"), alice)) == "no_such_person"
    assert rooms_of(world, alice) == {room}  # what was said is read still


def test_a_conversation_follows_the_person_through_a_new_name() -> None:
    """“Wire name `@LOW:HIGH` by sender numbers.”"""
    world = World()
    alice, bob, room = two(world)
    world.ask(Say(0, new(), "@bob", "one"), alice)
    world.ask(Nick(0, new(), "robert"), bob)
    event = log(world)[-1]
    assert isinstance(event, frames.Event)
    assert (event.kind, event.name, event.to) == ("renamed", "bob", "robert")
    reply = world.ask(Say(0, new(), "@robert", "two"), alice)
    assert isinstance(reply, Ok)
    assert (reply.room, reply.seq) == (room, 3)
    peer = state(world, alice, room).peer
    assert peer is not None
    assert peer.name == "robert"


def test_a_conversation_follows_a_person_through_a_new_name_that_has_left_it() -> None:
    """The other one is in it still, and calls it by that name."""
    world = World()
    alice, bob, room = two(world)
    world.ask(Say(0, new(), "@bob", "one"), alice)
    world.ask(Leave(0, new(), room), bob)
    world.ask(Nick(0, new(), "robert"), bob)
    event = log(world)[-1]
    assert isinstance(event, frames.Event)
    assert (event.kind, event.name, event.to) == ("renamed", "bob", "robert")
    assert rooms_of(world, bob) == set()
    world.ask(Leave(0, new(), room), alice)
    head = len(log(world))
    world.ask(Nick(0, new(), "bobby"), bob)
    assert len(log(world)) == head  # nobody is there who would read it


def test_a_conversation_that_is_begun_left_and_renamed_at_once_follows() -> None:
    """All of it in one turn."""
    world = World()
    alice, bob, room = two(world)
    world.turn(
        world.task(Say(0, new(), "@bob", "one"), alice),
        world.task(Leave(0, new(), room), bob),
        world.task(Nick(0, new(), "robert"), bob),
    )
    event = log(world)[-1]
    assert isinstance(event, frames.Event)
    assert (event.kind, event.to) == ("renamed", "robert")


def test_conversations_have_no_operators_and_are_in_no_directory() -> None:
    """“A conversation of two has no operators”, not those of the cluster either."""
    world = World()
    alice = world.account("alice", operator=True)
    room = direct_room(alice.sender, world.account("bob").sender)
    world.ask(Say(0, new(), "@bob", "hi"), alice)
    for frame in (
        frames.Topic(0, new(), room, "x"),
        frames.Kick(0, new(), room, "bob"),
        frames.Visibility(0, new(), room, False),
        Invite(0, new(), room, "bob"),
    ):
        assert code_of(world.ask(frame, alice)) == "not_allowed"
    assert world.ask(frames.Rooms(0), alice) == frames.RoomList(0, [])


def test_guests_that_are_gone_take_no_place_among_those_one_has_blocked() -> None:
    """“What cannot be done is answered with a sentence a person can act on.”"""
    world = World()
    alice, bob, _ = two(world)
    person = world.state.people[alice.sender]
    gone = frozenset(range(10_000, 10_000 + MOST_BLOCKED))
    world.state.put_person(change(person, blocked=gone))
    assert isinstance(world.ask(Block(0, new(), "bob"), alice), Ok)
    assert world.state.people[alice.sender].blocked == {bob.sender}

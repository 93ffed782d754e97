"""How far somebody has read, on all their devices."""

from __future__ import annotations

from hubbub.frames import Bye, Join, Leave, Marked, Ok, Read, Say
from hubbub.wire import Kind
from tests.unit.worker.looking import new, state, told_to, unread
from tests.unit.worker.world import Person, World, code_of


def scene(world: World, messages: int = 5) -> tuple[Person, Person, Person]:
    """Alice on two devices and Bob, who has said a few things: numbers 3 to 7 of the lobby."""
    alice = world.account("alice", "lobby", gateway="g1")
    other = world.login("alice", gateway="g2")
    bob = world.account("bob", "lobby")
    for n in range(messages):
        world.say(bob, "lobby", str(n))
    return alice, other, bob


def test_unread_is_what_was_said_above_the_mark() -> None:
    """“Unread is the head's count minus the read mark's.”"""
    world = World()
    alice, other, bob = scene(world)
    assert [unread(world, each) for each in (alice, other, bob)] == [5, 5, 0]
    world.ask(Read(0, "lobby", 4), alice)
    assert [unread(world, each) for each in (alice, other)] == [3, 3]
    assert (state(world, alice).mark, state(world, alice).marked) == (4, 2)


def test_a_mark_moved_on_one_device_is_told_to_all_once() -> None:
    """“One's read mark in a room, moved on any of one's devices.”"""
    world = World()
    alice, _, bob = scene(world)
    world.ask(Read(0, "lobby", 5), alice)
    # One item for the person: every gateway puts it to all their connections.
    assert world.kinds() == [Kind.PERSONAL]
    assert told_to(world, alice) == [Marked("lobby", 5, 3, 0)]
    assert told_to(world, bob) == []


def test_a_mark_never_moves_back() -> None:
    """“Read marks monotonic”, from whichever device."""
    world = World()
    alice, other, _ = scene(world)
    world.ask(Read(0, "lobby", 6), other)
    for seq in (6, 5, 0):
        assert isinstance(world.ask(Read(0, "lobby", seq), alice), Ok)
        assert world.items == []
    assert state(world, alice).mark == 6


def test_the_later_of_two_marks_in_one_turn_does_not_undo_the_further() -> None:
    """“Monotonic”, within a turn, too."""
    world = World()
    alice, other, _ = scene(world)
    world.turn(world.task(Read(0, "lobby", 7), alice), world.task(Read(0, "lobby", 4), other))
    assert told_to(world, alice) == [Marked("lobby", 7, 5, 0)]
    assert (state(world, other).mark, unread(world, other)) == (7, 0)


def test_a_mark_above_the_head_is_one_at_the_head() -> None:
    """What is not said yet cannot be read."""
    world = World()
    alice, _, bob = scene(world)
    world.ask(Read(0, "lobby", 10_000), alice)
    assert (state(world, alice).mark, unread(world, alice)) == (7, 0)
    world.say(bob, "lobby", "more")
    assert unread(world, alice) == 1


def test_saying_something_moves_ones_own_mark() -> None:
    """“Saying something moves one's own mark.”"""
    world = World()
    alice, other, bob = scene(world)
    world.say(alice, "lobby", "I have read it all")
    assert [unread(world, each) for each in (alice, other, bob)] == [0, 0, 1]


def test_events_are_not_unread() -> None:
    """“How many *messages* its room has had.”"""
    world = World()
    alice, _, bob = scene(world, messages=0)
    world.account("carol", "lobby")
    world.ask(Leave(0, new(), "lobby"), bob)
    assert unread(world, alice) == 0


def test_who_enters_has_nothing_unread() -> None:
    """What was said before one came is history."""
    world = World()
    scene(world)
    carol = world.account("carol", "lobby")
    assert (unread(world, carol), state(world, carol).mark) == (0, 8)


def test_what_is_said_while_nobody_of_them_is_here_is_unread_when_they_log_in() -> None:
    """“An account belongs to its rooms until it leaves them.”"""
    world = World()
    alice, other, bob = scene(world, messages=1)
    world.ask(Read(0, "lobby", 3), alice)
    for each in (alice, other):
        world.ask(Bye(0, new()), each)
    world.say(bob, "lobby", "@alice, are you there?")
    (room,) = world.login("alice").welcome.rooms
    assert (room.count - room.marked, room.mentions, room.mark) == (1, 1, 3)


def test_a_mark_of_what_was_said_in_the_same_turn_counts_it() -> None:
    """A client marks what it was shown; nothing says in which turn that was."""
    world = World()
    alice, _, bob = scene(world)
    world.turn(
        world.task(Say(0, new(), "lobby", "a"), bob),
        world.task(Say(0, new(), "lobby", "b"), bob),
        world.task(Read(0, "lobby", 8), alice),
    )
    assert (state(world, alice).mark, unread(world, alice)) == (8, 1)


def test_only_members_mark_a_room() -> None:
    """“Move one's read mark”: of a room that one is in."""
    world = World()
    scene(world)
    carol = world.account("carol", "den")
    assert code_of(world.ask(Read(0, "lobby", 3), carol)) == "not_member"
    world.ask(Join(0, new(), "lobby"), carol)
    world.ask(Leave(0, new(), "lobby"), carol)
    assert not [key for key in world.state.marks if key == (carol.sender, 1)]

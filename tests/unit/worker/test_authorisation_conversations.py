"""Ways into the conversations of others, and round a block, that somebody may try."""

from __future__ import annotations

import pytest

from hubbub import frames
from hubbub.frames import ClientFrame, Error, Ok, Roster
from tests.unit.worker.situations import new
from tests.unit.worker.world import World, code_of


def naming(room: str) -> list[ClientFrame]:
    """Every frame that takes a room, of this one."""
    return [
        frames.Join(0, new(), room),
        frames.Join(0, new(), room, 1, 7),
        frames.Leave(0, new(), room),
        frames.Say(0, new(), room, "x"),
        frames.Say(0, new(), room, "x", reply=1),
        frames.Edit(0, new(), room, 1, "x"),
        frames.Delete(0, new(), room, 1),
        frames.React(0, new(), room, 1, "+1"),
        frames.Read(0, room, 1),
        frames.History(0, room),
        frames.Members(0, room, True),
        frames.Search(0, f"x in:{room}"),
        frames.Topic(0, new(), room, "x"),
        frames.Visibility(0, new(), room, False),
        frames.Invite(0, new(), room, "eve"),
        frames.Kick(0, new(), room, "alice"),
        frames.Ban(0, new(), room, "alice"),
        frames.Unban(0, new(), room, "alice"),
        frames.Mute(0, new(), room, "alice"),
        frames.Role(0, new(), room, "alice", "owner"),
        frames.Restrictions(0, room),
        frames.Close(0, new(), room),
    ]


@pytest.mark.parametrize(
    "form",
    ["@{}:{}", "@{1}:{0}", "@0{}:{}", "＠{}:{}", "＠{}：{}", "﹫{}：{}", "@{}：{}", "＠alice"],
)
def test_a_conversation_of_others_is_as_if_there_were_none(form: str) -> None:
    """“A private room of two”: by whatever form of its name it is called."""
    told = []
    for begun in (False, True):
        world = World()
        alice, bob, eve = (world.account(name) for name in ("alice", "bob", "eve"))
        chief = world.account("chief", operator=True)
        assert (alice.sender, bob.sender) == (1, 2)
        if begun:
            world.say(alice, "@bob", "between us")
        room = form.format(alice.sender, bob.sender)
        replies = [world.ask(frame, each) for each in (eve, chief) for frame in naming(room)]
        told.append([(type(reply), getattr(reply, "code", ""), _text(reply)) for reply in replies])
        assert len(world.events) == begun
        assert all(isinstance(reply, Error | Ok) for reply in replies)
    assert told[0] == told[1]


def _text(reply: frames.Frame) -> str:
    return reply.text if isinstance(reply, Error) else getattr(reply, "room", "")


def test_the_two_may_name_their_conversation_in_any_order() -> None:
    """`@LOW:HIGH` is what answers carry; `@HIGH:LOW` names no other one."""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    world.say(alice, "@bob", "hello")
    for room in ("@bob", "@1:2", "@2:1"):
        assert isinstance(world.ask(frames.Read(0, room, 1), alice), Ok)
        assert isinstance(world.ask(frames.Join(0, new(), room), alice), Roster)
    assert [each.name for each in world.state.rooms.values()] == ["@1:2"]
    assert bob.sender == 2


def test_nobody_talks_to_oneself() -> None:
    """“A conversation of two”, by whatever name."""
    world = World()
    alice = world.account("alice")
    for room in ("@alice", "@1:1", "@01:1"):
        assert code_of(world.ask(frames.Join(0, new(), room), alice)) == "not_allowed"
        assert code_of(world.ask(frames.Say(0, new(), room, "x"), alice)) == "not_allowed"
    assert not world.state.rooms


def test_a_refused_word_begins_no_conversation_and_brings_nobody_back() -> None:
    """What is refused changes nothing."""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    for frame in (
        frames.Say(0, new(), "@bob", "x", reply=1),
        frames.Join(0, new(), "@bob", 1, 7),
        frames.Join(0, new(), "@bob", 1, 8),
    ):
        assert isinstance(world.ask(frame, alice), Error)
        assert (world.items, world.state.rooms) == ([], {})
    world.say(alice, "@bob", "hello")
    world.ask(frames.Leave(0, new(), "@alice"), bob)
    for again in (
        frames.Say(0, new(), "@bob", "x", reply=9),
        frames.Join(0, new(), "@bob", 9, 7),
        frames.Join(0, new(), "@bob", 1, 8),
    ):
        assert isinstance(world.ask(again, alice), Error)
        assert world.items == []
    assert not world.state.people[bob.sender].rooms


def test_who_is_blocked_cannot_write_by_taking_back_what_they_said() -> None:
    """“Take no private messages of somebody any more”: a reason is text that others read."""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    said = [world.say(bob, "@alice", "hello") for _ in range(2)]
    world.ask(frames.Block(0, new(), "bob"), alice)
    loud = frames.Delete(0, new(), "@alice", said[0], "read this")
    assert code_of(world.ask(loud, bob)) == "not_allowed"
    assert isinstance(world.ask(frames.Delete(0, new(), "@alice", said[1]), bob), Ok)
    for frame in (
        frames.Say(0, new(), "@alice", "x"),
        frames.Edit(0, new(), "@alice", said[0], "x"),
        frames.React(0, new(), "@alice", said[0], "x"),
        frames.Invite(0, new(), "den", "alice"),
    ):
        assert isinstance(world.ask(frame, bob), Error)

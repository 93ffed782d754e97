"""Edits, deletions, replies, reactions and mentions."""

from __future__ import annotations

import pytest

from hubbub import frames
from hubbub.frames import Delete, Edit, Event, Mute, Ok, React, Say
from hubbub.wire import Kind
from tests.unit.worker.looking import line, log, new, state
from tests.unit.worker.world import Person, World, code_of

SECRET = "what nobody is to read any more"


def two(world: World) -> tuple[Person, Person]:
    """An owner and a guest in the lobby; the owner's `joined` is number 1."""
    return world.account("alice", "lobby"), world.person("bob", "lobby")


def stored(world: World) -> bytes:
    """All that is stored of all logs."""
    return b"".join(row.body for row in world.events)


# --- edits ------------------------------------------------------------------------------------


def test_an_edit_is_an_event_and_history_has_the_newest_text() -> None:
    """“A numbered event (`edited`, `of` = original number); history shows newest text.”"""
    world = World()
    alice, _ = two(world)
    seq = world.say(alice, "lobby", SECRET)
    reply = world.ask(Edit(0, new(), "lobby", seq, "better"), alice)
    assert reply == Ok(0, "lobby", seq + 1, world.at)
    (item,) = world.items
    live = frames.server_decoder.decode(item.body)
    assert isinstance(live, Event)
    assert (live.kind, live.of, live.text, live.count) == ("edited", seq, "better", 1)
    message = line(world, seq)
    assert (message.text, message.edited, message.seq) == ("better", seq + 1, seq)
    assert SECRET.encode() not in stored(world)


def test_the_text_of_an_earlier_edit_is_gone_from_the_log_too() -> None:
    """“And the previous edit event's text is rewritten in the store.”"""
    world = World()
    alice, _ = two(world)
    seq = world.say(alice, "lobby", "first")
    world.ask(Edit(0, new(), "lobby", seq, SECRET), alice)
    world.ask(Edit(0, new(), "lobby", seq, "last"), alice)
    assert SECRET.encode() not in stored(world)
    assert [(each.seq, each.text) for each in log(world)[seq - 1 :]] == [
        (seq, "last"),
        (seq + 1, ""),
        (seq + 2, "last"),
    ]
    world.ask(Delete(0, new(), "lobby", seq), alice)
    assert b"last" not in stored(world)


def test_a_message_can_be_edited_in_the_turn_in_which_it_was_said() -> None:
    """Turns are ours: whoever asks one thing after the other sees none."""
    world = World()
    alice, _ = two(world)
    answers = world.turn(
        world.task(Say(0, new(), "lobby", SECRET), alice),
        world.task(Edit(0, new(), "lobby", 2, "x" + SECRET), alice),
        world.task(Edit(0, new(), "lobby", 2, "last"), alice),
    )
    assert [answer.reply.seq for answer in answers if isinstance(answer.reply, Ok)] == [2, 3, 4]
    assert [each.text for each in log(world)[1:]] == ["last", "", "last"]
    assert line(world, 2).edited == 4
    assert SECRET.encode() not in stored(world)


def test_two_edits_in_one_turn_leave_the_last() -> None:
    """“All members of a room see the same events in the same order.”"""
    world = World()
    alice, _ = two(world)
    seq = world.say(alice, "lobby", "one")
    world.ask(Edit(0, new(), "lobby", seq, "two"), alice)
    world.turn(
        world.task(Edit(0, new(), "lobby", seq, "three"), alice),
        world.task(Edit(0, new(), "lobby", seq, "four"), alice),
    )
    assert [each.text for each in log(world)[seq - 1 :]] == ["four", "", "", "four"]


def test_only_who_wrote_a_message_edits_it() -> None:
    """“Edit and delete (own; operators may delete)”: nobody is made to say what they did not."""
    world = World()
    alice, bob = two(world)
    seq = world.say(bob, "lobby", "mine")
    assert code_of(world.ask(Edit(0, new(), "lobby", seq, "x"), alice)) == "not_allowed"
    assert line(world, seq).text == "mine"


def test_an_edit_asked_again_is_one_event() -> None:
    """“Exactly once”, for everything that carries an id."""
    world = World()
    alice, _ = two(world)
    seq = world.say(alice, "lobby", "one")
    edit = Edit(0, new(), "lobby", seq, "two")
    assert world.ask(edit, alice) == world.ask(edit, alice)
    assert len(log(world)) == seq + 1
    other = Edit(0, edit.id, "lobby", seq, "three")
    assert code_of(world.ask(other, alice)) == "conflict"


@pytest.mark.parametrize("seq", [0, 1, 3, 99])
def test_what_is_no_message_cannot_be_changed(seq: int) -> None:
    """“no message has this number, or it was deleted”"""
    world = World()
    alice, _ = two(world)
    world.say(alice, "lobby", "hello")
    for frame in (
        Edit(0, new(), "lobby", seq, "x"),
        Delete(0, new(), "lobby", seq),
        React(0, new(), "lobby", seq, "+1"),
    ):
        assert code_of(world.ask(frame, alice)) == "no_such_message"
    assert len(log(world)) == 2


# --- deletions --------------------------------------------------------------------------------


def test_a_deleted_message_keeps_its_number_and_has_no_text() -> None:
    """“History shows newest text/none; live readers see the event.”"""
    world = World()
    alice, bob = two(world)
    seq = world.say(bob, "lobby", SECRET + " @alice")
    world.ask(Edit(0, new(), "lobby", seq, SECRET), bob)
    world.ask(Delete(0, new(), "lobby", seq), bob)
    message = line(world, seq)
    assert (message.text, message.mentions, message.deleted, message.count) == ("", [], 4, 1)
    assert SECRET.encode() not in stored(world)
    assert state(world, alice).count == 1
    assert code_of(world.ask(Edit(0, new(), "lobby", seq, "x"), bob)) == "no_such_message"


def test_operators_of_a_room_delete_what_others_said_and_members_do_not() -> None:
    """“Operators may delete.”"""
    world = World()
    alice, bob = two(world)
    seq = world.say(alice, "lobby", "hers")
    assert code_of(world.ask(Delete(0, new(), "lobby", seq), bob)) == "not_allowed"
    seq = world.say(bob, "lobby", "his")
    assert isinstance(world.ask(Delete(0, new(), "lobby", seq, "rude"), alice), Ok)
    assert (log(world)[-1].text, log(world)[-1].name, line(world, seq).text) == (
        "rude",
        "alice",
        "",
    )


def test_whoever_is_muted_takes_back_what_they_said_but_says_nothing() -> None:
    """“A member that may not write”, not by an edit, a reaction or a reason either."""
    world = World()
    alice, bob = two(world)
    seq = world.say(bob, "lobby", "hm")
    world.ask(Mute(0, new(), "lobby", "bob"), alice)
    for frame in (
        Say(0, new(), "lobby", "x"),
        Edit(0, new(), "lobby", seq, "x"),
        React(0, new(), "lobby", seq, "+1"),
        Delete(0, new(), "lobby", seq, "x"),
    ):
        assert code_of(world.ask(frame, bob)) == "muted"
    assert isinstance(world.ask(Delete(0, new(), "lobby", seq), bob), Ok)


# --- texts ------------------------------------------------------------------------------------


def test_a_text_has_its_longest_and_one_character_more_is_refused() -> None:
    """“Up to 4,000 characters by default.”"""
    world = World()
    alice, _ = two(world)
    seq = world.say(alice, "lobby", "x" * 4000)
    assert code_of(world.ask(Say(0, new(), "lobby", "x" * 4001), alice)) == "too_large"
    assert code_of(world.ask(Edit(0, new(), "lobby", seq, "x" * 4001), alice)) == "too_large"
    assert len(log(world)) == seq


def test_a_reply_names_a_message_that_there_is() -> None:
    """“the number of the message that this answers”"""
    world = World()
    alice, bob = two(world)
    seq = world.say(alice, "lobby", "question")
    world.ask(Say(0, new(), "lobby", "answer", reply=seq), bob)
    assert line(world, seq + 1).reply == seq
    for reply in (1, seq + 2, 99):  # an event; the answer itself; nothing
        refused = world.ask(Say(0, new(), "lobby", "answer", reply=reply), bob)
        assert code_of(refused) == "no_such_message"
    assert len(log(world)) == seq + 1


def test_an_action_is_told_as_one() -> None:
    """“"/me": shown as "* Name text"”"""
    world = World()
    alice, _ = two(world)
    world.ask(Say(0, new(), "lobby", "waves", action=True), alice)
    assert line(world, 2).action


# --- reactions --------------------------------------------------------------------------------


def test_a_reaction_stands_once_until_it_is_taken_back() -> None:
    """“React to a message, or take that back; what is so already is not told again.”"""
    world = World()
    alice, bob = two(world)
    seq = world.say(alice, "lobby", "hello")
    kinds = []
    for who, on in ((bob, True), (bob, True), (alice, True), (bob, False), (bob, False)):
        world.ask(React(0, new(), "lobby", seq, "+1", on), who)
        kinds.append([item.kind for item in world.items])
    assert kinds == [[Kind.EVENT], [], [Kind.EVENT], [Kind.EVENT], []]
    told = [(each.kind, each.name) for each in log(world)[seq:] if isinstance(each, Event)]
    assert told == [("reacted", "bob"), ("reacted", "alice"), ("unreacted", "bob")]
    assert {key[2] for key in world.reactions} == {alice.sender}


def test_a_reaction_is_one_sign() -> None:
    """“A reaction is an emoji or a short word”, and holds nothing that is not seen."""
    world = World()
    alice, _ = two(world)
    seq = world.say(alice, "lobby", "hello")
    for bad in ("a b", "\x1b[31m", "a\u202eb", "a\nb", "\u200b"):
        assert code_of(world.ask(React(0, new(), "lobby", seq, bad), alice)) == "not_allowed"
    for good in ("\U0001f469\u200d\U0001f4bb", "\u2764\ufe0f", "ok"):
        assert isinstance(world.ask(React(0, new(), "lobby", seq, good), alice), Ok)


def test_one_reaction_written_in_two_ways_is_one() -> None:
    """Composed and decomposed é are the same sign."""
    world = World()
    alice, _ = two(world)
    seq = world.say(alice, "lobby", "hello")
    world.ask(React(0, new(), "lobby", seq, "\u00e9"), alice)
    world.ask(React(0, new(), "lobby", seq, "e\u0301"), alice)
    assert len(world.reactions) == 1


# --- mentions ---------------------------------------------------------------------------------


def test_a_mention_of_a_member_is_unread_until_it_is_read() -> None:
    """“Mentions (`@name`) that mark unread.”"""
    world = World()
    alice, bob = two(world)
    seq = world.say(bob, "lobby", "Hi @Alice, and @nobody!")
    assert line(world, seq).mentions == [alice.sender]
    assert state(world, alice).mentions == 1
    assert state(world, bob).mentions == 0
    world.ask(frames.Read(0, "lobby", seq - 1), alice)
    assert state(world, alice).mentions == 1
    world.ask(frames.Read(0, "lobby", seq), alice)
    assert state(world, alice).mentions == 0


def test_nobody_outside_and_nobody_by_themselves_is_mentioned() -> None:
    """“The members that a text names”: who is not in a room is told nothing of it."""
    world = World()
    alice, _ = two(world)
    world.account("carol", "den")
    seq = world.say(alice, "lobby", "@carol @alice see a@bob and http://x/@bob")
    assert line(world, seq).mentions == []


def test_an_edit_tells_only_those_who_were_not_named_before() -> None:
    """A corrected word is no second mention."""
    world = World()
    alice, bob = two(world)
    carol = world.account("carol", "lobby")
    seq = world.say(alice, "lobby", "@bob lok")
    world.ask(Edit(0, new(), "lobby", seq, "@bob @carol look"), alice)
    assert [state(world, each).mentions for each in (bob, carol)] == [1, 1]
    assert line(world, seq).mentions == [bob.sender, carol.sender]


def test_mentions_of_before_are_not_unread_after_coming_back_in_the_same_turn() -> None:
    """Leaving forgets what was unread, whether a turn ends between or not."""
    world = World()
    alice, _ = two(world)
    carol = world.account("carol", "lobby")
    world.turn(
        world.task(Say(0, new(), "lobby", "@carol!"), alice),
        world.task(frames.Leave(0, new(), "lobby"), carol),
        world.task(frames.Join(0, new(), "lobby"), carol),
    )
    own = state(world, carol)
    assert (own.mentions, own.mark, own.marked) == (0, own.head, own.count)

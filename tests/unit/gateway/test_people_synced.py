"""People whose gateway gets into step: in and out of rooms by a sync, and while logs are read."""

from __future__ import annotations

import os

from gateway.reading import HELD_BYTES
from hubbub import frames, wire
from hubbub.frames import Announcement
from hubbub.wire import Item, Kind
from tests.support import eventually
from tests.unit.gateway.stage import KICKED, Stage, both, login, told


async def test_after_a_sync_every_connection_is_in_the_rooms_that_it_should_be_in(
    stage: Stage,
) -> None:
    """“The gateway makes the connection's rooms so, `joined` and `parted` pushed.”"""
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    (rita,) = await stage.people("Rita")
    await rita.join("yard")
    await phone.join("lobby")
    await phone.join("attic")
    await phone.join("yard")
    await laptop.ping()
    before = list(laptop.seen)
    owner.message("attic", "committed, never published")
    owner.member_out("lobby", 1)
    owner.message("lobby", "not for Ann")
    owner.member_out("yard", 1)
    owner.rooms["yard"].people[50] = frames.Person(50, "Newcomer")
    owner.room("den")
    owner.message("den", "before")
    owner.member_in("den", 1)
    owner.new_term()
    owner.repeat_position()
    for each in (phone, laptop):
        await each.until(lambda: "joined den" in told(each))  # noqa: B023
        await each.until_text("committed, never published")
    owner.publish([owner.message("den", "end"), owner.message("lobby", "end")])
    for each in (phone, laptop):
        await each.until_text("end")
        await each.ping()
        assert sorted(told(each, 0 if each is phone else len(before))) == [
            "committed, never published",
            "end",
            "joined den",
            "parted lobby: parted",
            "parted yard: parted",
        ]
    await rita.until_text("end")
    assert told(rita) == ["not for Ann", "end"]
    assert rita.presences("Newcomer") == ["entered"]
    assert phone.presences("Newcomer") + laptop.presences("Newcomer") == []
    assert "not for Ann" not in phone.texts() + laptop.texts()


async def test_a_room_that_was_closed_before_a_sync_is_parted_and_nobody_is_cut(
    stage: Stage,
) -> None:
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    await phone.join("lobby")
    await phone.join("den")
    del owner.rooms["lobby"]
    owner.new_term()
    owner.repeat_position()
    await phone.until(lambda: told(phone) == ["parted lobby: closed"])
    await laptop.ping()
    assert told(laptop) == ["joined lobby", "joined den", "parted lobby: closed"]
    assert owner.frames_of(wire.Sync)[-1].inside == [wire.rooms_digest([1, 2])] * 2


async def test_a_leave_on_its_way_at_a_sync_is_answered_and_no_more(stage: Stage) -> None:
    """Its `ok` tells that one is out; a `parted` would tell of somebody else's doing."""
    owner = stage.owner
    ann = await login(stage, "Ann")
    (rita,) = await stage.people("Rita")
    await ann.join("lobby")
    owner.lose = lambda position: True
    owner.silent_on = lambda frame: isinstance(frame, frames.Leave)
    left = ann.send("leave", room="lobby", id=os.urandom(16))
    await eventually(lambda: 1 not in owner.rooms["lobby"].people)
    owner.new_term()
    owner.lose = lambda position: False
    owner.repeat_position()
    await rita.ping()
    owner.publish([owner.message("lobby", "not for Ann")])
    await rita.until_text("not for Ann")
    owner.silent_on = lambda frame: False
    assert (await left)["t"] == "ok"
    assert told(ann) == []


async def test_a_join_on_its_way_at_a_sync_ends_in_the_room(stage: Stage) -> None:
    owner = stage.owner
    ann = await login(stage, "Ann")
    (rita,) = await stage.people("Rita")
    owner.lose = lambda position: True
    owner.silent_on = lambda frame: isinstance(frame, frames.Join)
    joined = ann.send("join", room="lobby", id=os.urandom(16))
    await eventually(lambda: 1 in owner.rooms["lobby"].people)
    owner.new_term()
    owner.lose = lambda position: False
    owner.repeat_position()
    await rita.ping()
    owner.publish([owner.message("lobby", "for Ann")])
    await ann.until_text("for Ann")
    owner.silent_on = lambda frame: False
    assert (await joined)["t"] == "roster"
    await rita.say("lobby", "still for Ann")
    await ann.until_text("still for Ann")
    assert told(ann) == ["joined lobby", "for Ann", "still for Ann"]


async def test_a_join_that_an_owner_before_has_answered_brings_nothing_of_then_back(
    stage: Stage,
) -> None:
    """It had to wait for an older one, and that for the next owner: she was put out meanwhile."""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    ann = await login(stage, "Ann")
    first = os.urandom(16)
    owner.silent_on = lambda frame: isinstance(frame, frames.Join) and frame.id == first
    joins = [ann.send("join", room="den", id=key) for key in (first, os.urandom(16))]
    await ann.ping()
    assert not joins[1].done()
    owner.rooms["den"].people.clear()
    owner.new_term()
    owner.repeat_position()
    await rita.ping()
    owner.silent_on = lambda frame: False
    assert [(await join)["t"] for join in joins] == ["roster"] * 2
    owner.publish([owner.message("den", "not for Ann")])
    answer = await rita.join("den")
    assert [person["name"] for person in answer["members"]] == ["Rita"]
    await ann.ping()
    assert told(ann) == ["parted den: parted"] * 2


async def test_while_a_log_is_read_people_come_and_go_in_their_places(stage: Stage) -> None:
    """“Nobody is shown an event at a number when not entitled”, and nobody misses one."""
    owner = stage.owner
    ann = await login(stage, "Ann")
    bob = await login(stage, "Bob")
    (rita,) = await stage.people("Rita")
    await ann.join("lobby")
    owner.message("lobby", "committed, never published")
    owner.deaf_to = lambda frame: isinstance(frame, wire.Fetch)
    owner.new_term()
    owner.repeat_position()
    await eventually(lambda: owner.asks(wire.Fetch))
    owner.publish(
        [
            owner.message("lobby", "for Ann"),
            owner.member_out("lobby", 1, parted=KICKED),
            owner.message("lobby", "secret"),
            owner.member_in("lobby", 2),
            owner.message("lobby", "for Bob"),
            owner.member_in("lobby", 1),
            owner.message("lobby", "for all"),
        ]
    )
    owner.deaf_to = lambda frame: False
    for each in (ann, bob, rita):
        await each.until_text("for all")
    assert rita.texts() == [
        "committed, never published",
        "for Ann",
        "secret",
        "for Bob",
        "for all",
    ]
    assert told(ann) == [
        "committed, never published",
        "for Ann",
        "parted lobby: kicked",
        "joined lobby",
        "for all",
    ]
    assert told(bob) == ["joined lobby", "for Bob", "for all"]


async def test_an_ok_comes_after_its_message_also_when_that_is_read_from_the_log(
    stage: Stage,
) -> None:
    """“A message stands in the stream before the `ok` that acknowledges it.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.lose = lambda position: True
    owner.silent_on = lambda frame: isinstance(frame, frames.Say)
    answer = rita.send("say", id=os.urandom(16), room="lobby", text="stored, never told")
    await eventually(lambda: owner.asks(frames.Say))
    owner.lose = owner.silent_on = lambda _: False
    owner.deaf_to = lambda frame: isinstance(frame, wire.Fetch)
    owner.new_term()
    owner.repeat_position()
    await eventually(lambda: owner.asks(wire.Fetch) and len(owner.asks(frames.Say)) > 1)
    owner.deaf_to = lambda frame: False
    ok = await answer
    before = rita.seen[: ok["seen_before"]]
    assert "stored, never told" in [frame.get("text") for frame in before]


async def test_more_than_can_be_held_while_a_log_is_read_shows_nobody_too_much(
    stage: Stage,
) -> None:
    """What is beyond the bound is read from the log; who left before it is out at once."""
    owner = stage.owner
    ann = await login(stage, "Ann")
    bob = await login(stage, "Bob")
    (rita,) = await stage.people("Rita")
    await ann.join("lobby")
    owner.message("lobby", "committed, never published")
    owner.deaf_to = lambda frame: isinstance(frame, wire.Fetch)
    owner.new_term()
    owner.repeat_position()
    await eventually(lambda: owner.asks(wire.Fetch))
    owner.publish([owner.member_out("lobby", 1, parted=KICKED), owner.member_in("lobby", 2)])
    for number in range(40):
        owner.publish([owner.message("lobby", f"{number} " + "x" * (HELD_BYTES // 30))])
    owner.deaf_to = lambda frame: False
    for each in (ann, bob, rita):
        await each.ping()
    assert told(ann) == ["parted lobby: kicked"]
    assert told(bob) == ["joined lobby", "behind lobby"]
    assert told(rita) == ["behind lobby"]
    assert len(await rita.log("lobby")) == 41


async def test_who_was_put_out_before_a_sync_is_shown_the_log_up_to_that_and_no_more(
    stage: Stage,
) -> None:
    """“The kicked see the kick and no more”, also when the owner died before it could tell."""
    owner = stage.owner
    ann = await login(stage, "Ann")
    bob = await login(stage, "Bob")
    (rita,) = await stage.people("Rita")
    for each in (ann, bob):
        await each.join("lobby")
    owner.message("lobby", "before")
    owner.event("lobby", "kicked", whom=1, to="Ann")
    owner.member_out("lobby", 1)
    owner.message("lobby", "after the kick")
    owner.event("lobby", "parted", sender=2)
    owner.member_out("lobby", 2)
    owner.message("lobby", "after both")
    owner.new_term()
    owner.repeat_position()
    await rita.until_text("after both")
    await ann.ping()
    await bob.ping()
    assert told(ann) == ["before", "event lobby", "parted lobby: parted"]
    assert told(bob) == [
        "before",
        "event lobby",
        "after the kick",
        "event lobby",
        "parted lobby: parted",
    ]


async def test_who_takes_no_news_is_given_up_before_they_fill_the_memory(stage: Stage) -> None:
    """“No queue anywhere is unbounded”: news are nobody's answers, so nothing else bounds them."""
    owner = stage.owner
    ann, bob = await login(stage, "Ann"), await login(stage, "Bob")
    ann.transport.pause_reading()
    for _ in range(200):
        body = frames.encoder.encode(Announcement("x" * 60_000, "Op", 1))
        owner.publish([Item(Kind.ANNOUNCEMENT, 0, 0, 0, body)])
        await bob.ping()
        if owner.asks(wire.Lost):
            break
    assert [ask.session for ask in owner.asks(wire.Lost)] == [1]
    assert len(bob.seen) < 150
    ann.abort()

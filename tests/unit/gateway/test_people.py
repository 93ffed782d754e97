"""What concerns a person: in and out of rooms on all their connections, each in its place."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.connection import Connection
from gateway.people import People
from gateway.rooms import Rooms
from gateway.session import Session
from gateway.stream import Stream
from hubbub import frames, wire
from hubbub.frames import Announcement, Marked
from hubbub.wire import Ending, Item, Kind
from tests.native import AnsweredError, RawClient
from tests.support import eventually
from tests.unit.gateway.stage import KICKED, Stage, both, login, told


def test_people_are_found_by_session_and_person_as_long_as_they_are_here() -> None:
    people = People(Rooms(Stream(), lambda room, after: None))
    made = [cast(Connection, SimpleNamespace(session=None, rooms={})) for _ in range(3)]
    for number, connection in enumerate(made):
        people.add(connection, Session(number, 1, 7 if number else 8, "Ann"))
    assert (people.of(7), people.of(8), people.of(9)) == ((made[1], made[2]), (made[0],), ())
    session = people.remove(made[1])
    assert session is not None
    assert (session.number, people.of(7), people.remove(made[1])) == (1, (made[2],), None)
    people.remove(made[2])
    assert (people.of(7), list(people.sessions)) == ((), [0])


# --- in and out, in the place of the item -----------------------------------------------------


async def test_what_one_connection_joins_and_leaves_the_others_of_that_person_do_too(
    stage: Stage,
) -> None:
    """“All sessions of an account are in all its rooms.” The one that asked has its answer."""
    phone, laptop = await both(stage, "Ann")
    (rita,) = await stage.people("Rita")
    await phone.join("lobby")
    await rita.say("lobby", "hello")
    await laptop.until_text("hello")
    assert told(laptop) == ["joined lobby", "hello"]
    joined = laptop.seen[0]
    assert [person["name"] for person in joined["members"]] == ["Rita", "Ann"]
    assert (joined.get("head", 0), joined["mark"], joined["epoch"]) == (0, 1, 77)
    await phone.ask("leave", room="lobby", id=os.urandom(16))
    await rita.say("lobby", "gone?")
    await laptop.ping()
    await phone.ping()
    assert told(laptop) == ["joined lobby", "hello", "parted lobby: parted"]
    assert told(phone) == ["hello"]


@pytest.mark.parametrize("room", ["lobby", "den"])
async def test_a_newcomer_is_shown_what_comes_after_the_place_where_they_came_in(
    stage: Stage, room: str
) -> None:
    """“Enters it at exactly this place; later items of the same batch then apply normally.”"""
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    (rita,) = await stage.people("Rita")
    owner.room(room)  # "lobby" is followed here, "den" is not
    owner.publish(
        [owner.message(room, "before"), owner.member_in(room, 1), owner.message(room, "after")]
    )
    for each in (phone, laptop):
        await each.until_text("after")
        assert told(each) == [f"joined {room}", "after"]
        assert (each.seen[0]["head"], each.seen[0]["count"]) == (1, 1)
    await rita.ping()
    assert told(rita) == (["before", "after"] if room == "lobby" else [])
    assert (await phone.ask("members", room=room))["head"] == 2


async def test_whoever_is_put_out_sees_the_reason_and_nothing_after_it(stage: Stage) -> None:
    """“The kick event precedes MEMBER_OUT, so the kicked sees it, and nothing after.”"""
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    (rita,) = await stage.people("Rita")
    await phone.join("lobby")
    await laptop.ping()
    owner.publish(
        [
            owner.message("lobby", "before"),
            owner.event("lobby", "kicked", whom=1, to="Ann"),
            owner.member_out("lobby", 1, parted=KICKED),
            owner.message("lobby", "after"),
        ]
    )
    await rita.until_text("after")
    await phone.ping()
    await laptop.ping()
    assert told(phone) == ["before", "event lobby", "parted lobby: kicked"]
    assert told(laptop) == ["joined lobby", "before", "event lobby", "parted lobby: kicked"]
    assert told(rita) == ["before", "event lobby", "after"]


async def test_an_item_out_of_nobodys_room_is_told_to_nobody(stage: Stage) -> None:
    owner = stage.owner
    phone, _ = await both(stage, "Ann")
    await stage.people("Rita")
    owner.publish([owner.member_out("lobby", 1)])
    await phone.ping()
    assert told(phone) == []


async def test_the_ok_of_a_leave_takes_nobody_out_who_was_brought_in_again(stage: Stage) -> None:
    """“Acting on the `ok` of a `leave` must not remove anything”: the stream has its place."""
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    await phone.join("lobby")
    owner.hold(frames.Leave)
    left = phone.send("leave", room="lobby", id=os.urandom(16))
    await eventually(lambda: owner.held)
    owner.publish([owner.message("lobby", "out"), owner.member_in("lobby", 1)])
    owner.release()
    assert (await left)["t"] == "ok"
    owner.publish([owner.message("lobby", "in again")])
    await phone.until_text("in again")
    await laptop.ping()
    assert told(phone) == ["joined lobby", "in again"]
    assert told(laptop)[-3:] == ["parted lobby: parted", "joined lobby", "in again"]


# --- joining ----------------------------------------------------------------------------------


async def test_a_join_that_is_answered_after_its_undoing_enters_nobody(stage: Stage) -> None:
    """“A later MEMBER_OUT of that sender and room means: do not enter.”"""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    ann = await login(stage, "Ann")
    owner.hold(frames.Join)
    joined = ann.send("join", room="lobby", id=os.urandom(16))
    await eventually(lambda: owner.held)
    owner.publish(
        [owner.member_out("lobby", 2, parted=KICKED), owner.message("lobby", "she is out")]
    )
    await rita.until_text("she is out")
    owner.release()
    assert (await joined)["t"] == "roster"
    owner.publish([owner.message("lobby", "end")])
    await rita.until_text("end")
    await ann.ping()
    assert told(ann) == ["parted lobby: kicked"]


async def test_a_join_that_was_undone_by_another_device_when_it_is_answered_enters_nobody(
    stage: Stage,
) -> None:
    """“`Answer.inside` False: send the roster reply, do not enter, then send `parted`.”"""
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    owner.silent_on = lambda frame: isinstance(frame, frames.Join)
    joined = phone.send("join", room="lobby", id=os.urandom(16))
    await laptop.until(lambda: told(laptop) == ["joined lobby"])
    await laptop.ask("leave", room="lobby", id=os.urandom(16))
    owner.silent_on = lambda frame: False
    answer = await joined
    assert (answer["t"], answer["seen_before"]) == ("roster", 0)
    owner.publish([owner.message("lobby", "not for Ann")])
    await phone.ping()
    assert told(phone) == ["parted lobby: parted"]


async def test_who_has_left_is_not_in_again_when_the_older_join_is_answered_late(
    stage: Stage,
) -> None:
    """Both are answered in the order in which they were asked, and the last one holds."""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    ann = await login(stage, "Ann")
    owner.silent_on = lambda frame: isinstance(frame, frames.Join)
    joined = ann.send("join", room="lobby", id=os.urandom(16))
    left = ann.send("leave", room="lobby", id=os.urandom(16))
    await eventually(lambda: owner.asks(frames.Leave))
    await ann.ping()
    assert not left.done()
    owner.silent_on = lambda frame: False
    assert [(await joined)["t"], (await left)["t"]] == ["roster", "ok"]
    await rita.say("lobby", "is Ann gone?")
    await ann.ping()
    assert told(ann) == []  # its own `ok` says that it is out


async def test_a_conversation_of_two_is_joined_by_name_and_has_one_name_for_both(
    stage: Stage,
) -> None:
    """“Requests may also say `@NAME`; answers and events always carry the canonical name.”"""
    owner = stage.owner
    ann, bob = await login(stage, "Ann"), await login(stage, "Bob")
    first, again = await ann.join("@Bob"), await ann.join("@Bob")
    for roster in (first, again):
        assert (roster["room"], roster["peer"]["name"]) == ("@1:2", "Bob")
    owner.publish([owner.message("@1:2", "unheard"), owner.member_in("@1:2", 2)])
    await ann.say("@1:2", "hello")
    await bob.until_text("hello")
    assert told(bob) == ["joined @1:2", "hello"]
    assert bob.seen[0]["peer"]["name"] == "Ann"
    assert told(ann) == ["unheard", "hello"]


async def test_who_joins_a_room_by_the_name_of_one_that_was_closed_is_in_the_new_one(
    stage: Stage,
) -> None:
    """“Rooms have ids that are never reused; names point to them.”"""
    owner = stage.owner
    ann, bob = await login(stage, "Ann"), await login(stage, "Bob")
    await bob.join("lobby")
    owner.deaf_to = lambda frame: isinstance(frame, frames.Join)
    joined = ann.send("join", room="lobby", id=os.urandom(16))
    await eventually(lambda: owner.asks(frames.Join)[-1].session == 1)
    owner.publish([owner.event("lobby", "closed"), owner.member_out("lobby", 2)])
    owner.rooms["old"] = owner.rooms.pop("lobby")
    await bob.until(lambda: told(bob)[-1:] == ["parted lobby: parted"])
    owner.deaf_to = lambda frame: False
    # It was asked without a snapshot, since there was a room of that name.
    assert (await joined)["code"] == "unknown"
    await ann.join("lobby")
    await ann.say("lobby", "fresh")
    await ann.until_text("fresh")
    assert owner.rooms["lobby"].id == 2


# --- welcome ----------------------------------------------------------------------------------


async def test_what_came_for_a_person_while_the_welcome_was_on_its_way_follows_it(
    stage: Stage,
) -> None:
    """“For welcome, apply later MEMBER_IN, MEMBER_OUT and PERSONAL of that sender.”"""
    owner = stage.owner
    phone = await login(stage, "Ann")
    await phone.join("lobby")
    await phone.join("attic")
    owner.room("den")
    owner.hold(frames.Login)
    laptop = await RawClient.connect(stage.address)
    welcome = laptop.send("login", name="Ann", password="x" * 9, id=os.urandom(16))
    await eventually(lambda: owner.held)
    owner.publish([owner.message("lobby", "one"), owner.message("attic", "for both")])
    owner.publish(
        [
            owner.member_out("lobby", 1, parted=KICKED),
            owner.message("lobby", "two"),
            owner.message("den", "before"),
            owner.member_in("den", 1),
            owner.message("den", "after"),
            owner.personal(1, Marked("den", 2, 2)),
            owner.personal(77, Marked("den", 1, 1)),
            Item(Kind.ANNOUNCEMENT, 0, 0, 0, frames.encoder.encode(Announcement("tea", "Op", 1))),
        ]
    )
    await phone.ping()
    owner.release()
    rooms = {state["room"]: state.get("head", 0) for state in (await welcome)["rooms"]}
    assert rooms == {"lobby": 0, "attic": 1}  # what came after the kick is not told
    await laptop.ping()
    news = ["parted lobby: kicked", "joined den", "behind den", "marked den", "announcement"]
    assert told(laptop) == news
    assert (laptop.seen[1]["head"], laptop.seen[2]["next"]) == (1, 2)
    page = await laptop.ask("history", room="den", after=1)
    assert [event["text"] for event in page["events"]] == ["after"]
    owner.publish(
        [owner.message("lobby", "x"), owner.message("den", "y"), owner.message("attic", "z")]
    )
    await laptop.until_text("z")
    assert told(laptop)[len(news) :] == ["y", "z"]
    assert told(phone)[-2:] == ["y", "z"]


async def test_a_room_that_nobody_here_was_in_is_followed_from_the_place_of_the_item(
    stage: Stage,
) -> None:
    """What came before it, in the same batch, is in its snapshot already."""
    owner = stage.owner
    (rita,) = await stage.people("Rita")
    owner.hold(frames.Login)
    ann = await RawClient.connect(stage.address)
    welcome = ann.send("login", name="Ann", password="x" * 9, id=os.urandom(16))
    await eventually(lambda: owner.held)
    den = owner.room("den")
    entered = frames.encoder.encode(frames.Presence("den", 50, "Old", "entered"))
    renamed = owner.event("den", "renamed", sender=50, to="New")
    den.people[50] = frames.Person(50, "New")
    joined = owner.member_in("den", 2)
    busy = frames.encoder.encode(frames.Presence("den", 2, "Ann", "state", "busy"))
    owner.publish(
        [
            Item(Kind.PRESENCE, den.id, 0, 50, entered),
            renamed,
            joined,
            owner.message("den", "after"),
            Item(Kind.PRESENCE, den.id, 0, 2, busy),
        ]
    )
    owner.publish([owner.message("lobby", "delivered")])
    await rita.until_text("delivered")
    owner.release()
    await welcome
    await ann.until(lambda: told(ann) == ["joined den", "behind den"])
    people = [(one["name"], one.get("state", "here")) for one in ann.seen[0]["members"]]
    assert people == [("New", "here"), ("Ann", "busy")]
    await ann.ask("history", room="den", after=1)
    owner.publish([owner.message("den", "live")])
    await ann.until_text("live")
    assert ann.texts() == ["live"]


async def test_a_session_that_is_over_before_its_welcome_arrives_is_ended(stage: Stage) -> None:
    """“A suspension ends every live session”, one that is just beginning, too."""
    owner = stage.owner
    phone = await login(stage, "Ann")
    await phone.join("lobby")
    owner.hold(frames.Login)
    laptop = await RawClient.connect(stage.address)
    welcome = laptop.send("login", name="Ann", password="x" * 9, id=os.urandom(16))
    await eventually(lambda: owner.held)
    owner.publish([owner.over(2, 2, Ending("suspended", "the account is shut out"))])
    await phone.ping()
    owner.release()
    assert (await welcome)["t"] == "welcome"
    await laptop.closed()
    assert laptop.seen[-1]["code"] == "suspended"
    assert not owner.asks(wire.Lost)


# --- news and endings -------------------------------------------------------------------------


async def test_what_is_for_one_person_reaches_all_their_connections_in_its_place(
    stage: Stage,
) -> None:
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    (rita,) = await stage.people("Rita")
    await phone.join("lobby")
    owner.publish(
        [
            owner.message("lobby", "read"),
            owner.personal(1, Marked("lobby", 1, 1), "lobby"),
            owner.message("lobby", "unread"),
        ]
    )
    for each in (phone, laptop, rita):
        await each.until_text("unread")
    assert told(phone) == ["read", "marked lobby", "unread"]
    assert told(laptop) == ["joined lobby", "read", "marked lobby", "unread"]
    assert told(rita) == ["read", "unread"]
    phone.abort()
    await eventually(lambda: owner.asks(wire.Lost))
    owner.publish([owner.personal(1, Marked("lobby", 2, 2)), owner.message("lobby", "end")])
    await laptop.until_text("end")
    assert told(laptop)[-2:] == ["marked lobby", "end"]


async def test_an_announcement_reaches_everybody_who_has_a_session(stage: Stage) -> None:
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    await phone.join("lobby")
    stranger = await RawClient.connect(stage.address)
    body = frames.encoder.encode(Announcement("tea is ready", "Op", 1))
    owner.publish([owner.message("lobby", "hi"), Item(Kind.ANNOUNCEMENT, 0, 0, 0, body)])
    await phone.ping()
    await laptop.ping()
    assert told(phone) == ["hi", "announcement"]
    assert told(laptop) == ["joined lobby", "hi", "announcement"]
    await stranger.hello("Stranger")
    assert told(stranger) == []


async def test_a_session_that_is_ended_for_a_reason_is_told_it(stage: Stage) -> None:
    """“SESSION_OVER with `Ending`: the connection ends with that code and text.”"""
    owner = stage.owner
    phone, laptop = await both(stage, "Ann")
    owner.publish([owner.over(2, 2, Ending("suspended", "shut out until Monday"))])
    await laptop.closed()
    assert laptop.seen[-1]["code"] == "suspended"
    assert laptop.seen[-1]["text"] == "shut out until Monday"
    owner.publish([owner.over(1, 2, Ending("a_code_of_tomorrow", "you see"))])
    await phone.closed()
    assert (phone.seen[-1]["code"], phone.seen[-1]["text"]) == ("expired", "you see")
    assert not owner.asks(wire.Lost)


@pytest.mark.parametrize("farewell", ["unregister", "revoke"])
async def test_what_ends_the_session_that_asked_for_it_is_answered_first(
    stage: Stage, farewell: str
) -> None:
    """“Answered by `ok`, then closed”, though the stream has ended the session before."""
    owner = stage.owner
    ann = await login(stage, "Ann")
    await ann.join("lobby")
    fields = {"password": "x" * 9} if farewell == "unregister" else {}
    owner.hold(frames.Unregister if farewell == "unregister" else frames.Revoke)
    done = ann.send(farewell, id=os.urandom(16), **fields)
    await eventually(lambda: owner.held)
    owner.publish([owner.message("lobby", "not for Ann any more")])
    owner.release()
    assert (await done)["t"] == "ok"
    await ann.closed()
    assert told(ann) == ([] if farewell == "unregister" else ["error"])
    assert not owner.asks(wire.Lost)


async def test_a_farewell_that_is_refused_leaves_the_connection_as_it_was(stage: Stage) -> None:
    owner = stage.owner
    ann = await login(stage, "Ann")
    await ann.join("lobby")
    owner.refuse = frames.Unregister
    with pytest.raises(AnsweredError):
        await ann.ask("unregister", id=os.urandom(16), password="wrong one")
    await ann.say("lobby", "still here")
    ann.abort()
    await eventually(lambda: [ask.session for ask in owner.asks(wire.Lost)] == [1])

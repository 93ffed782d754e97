"""What a client does about what it has missed: holes, new numberings, histories that end."""

from __future__ import annotations

import asyncio

import pytest

import hubbub
from hubbub.client_events import MAX_EVENTS
from hubbub.frames import Message
from tests.client.odd_account import next_of
from tests.client.odd_client import client_of, texts_of
from tests.client.odd_server import Fields, Peer, serving


async def test_after_an_expired_session_the_rooms_are_entered_again_from_the_cursor() -> None:
    """`expired`: a new hello with the same name, every room joined again with `since`."""

    async def first(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=4)
        peer.message(5)
        peer.message(6)
        await peer.expect("say")
        peer.cut()

    async def expired(peer: Peer) -> None:
        frame = await peer.expect("resume")
        assert frame["rooms"] == {"lobby": 6}
        peer.send("error", ref=frame["ref"], code="expired", text="the session is over")
        await peer.gone()

    async def second(peer: Peer) -> None:
        hello = await peer.greet(sender=2)
        assert (hello["t"], hello["name"]) == ("hello", "Radha")
        join = await peer.let_join(head=8)
        assert (join["since"], join["epoch"]) == (6, 7)
        peer.send("behind", room="lobby", next=7, head=8, epoch=7)
        peer.message(9)  # above the hole
        history = await peer.expect("history")
        assert history["after"] == 6
        peer.page(history["ref"], 6, 9, 9)
        peer.roster((await peer.expect("members"))["ref"], 9)
        peer.message(10)
        await peer.gone()

    async with serving(first, expired, second) as server, client_of(server.address) as client:
        await client.join("lobby")
        said = client.say_nowait("lobby", "perhaps")
        assert await texts_of(client, 6) == [f"text {seq}" for seq in range(5, 11)]
        # It may have been stored, and under the new sender it must not be said again.
        with pytest.raises(hubbub.OutcomeUnknown):
            await said


async def test_what_arrives_above_a_hole_is_shown_after_the_hole_is_filled() -> None:
    async def lossy(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=0)
        for seq in (1, 2, 5, 5, 2, 6):
            peer.message(seq)
        history = await peer.expect("history")
        assert history["after"] == 2
        peer.page(history["ref"], 3, 4, 6)
        peer.message(7)
        history = await peer.expect("history")
        peer.page(history["ref"], 5, 6, 6)  # true when it was read, and old when it arrives
        history = await peer.expect("history")
        peer.page(history["ref"], 7, 7, 7)
        peer.roster((await peer.expect("members"))["ref"], 7)
        peer.message(8)
        await peer.gone()

    async with serving(lossy) as server, client_of(server.address) as client:
        await client.join("lobby")
        assert await texts_of(client, 8) == [f"text {seq}" for seq in range(1, 9)]


async def test_nothing_above_a_hole_in_a_page_is_shown_before_the_hole_is_filled() -> None:
    async def broken(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=3)
        history = await peer.expect("history")
        events = [
            {"t": "message", "room": "lobby", "seq": seq, "sender": 9, "name": "Rita",
             "text": f"text {seq}", "at": seq}
            for seq in (1, 3)
        ]  # fmt: skip
        peer.send("page", ref=history["ref"], room="lobby", events=events, head=3, epoch=7)
        history = await peer.expect("history")
        assert history["after"] == 1
        peer.page(history["ref"], 2, 3, 3)
        peer.roster((await peer.expect("members"))["ref"], 3)
        await peer.answer_pings()

    async with serving(broken) as server, client_of(server.address) as client:
        await client.join("lobby", since=0)
        assert await texts_of(client, 3) == ["text 1", "text 2", "text 3"]


async def test_who_came_and_went_while_one_was_behind_is_told_afterwards() -> None:
    rita = {"t": "person", "sender": 9, "name": "Rita"}
    varsha = {"t": "person", "sender": 8, "name": "Varsha"}

    async def behind(peer: Peer) -> None:
        await peer.greet()
        join = await peer.expect("join")
        peer.roster(join["ref"], 0, members=[rita])
        peer.send("behind", room="lobby", next=1, head=1, epoch=7)
        peer.page((await peer.expect("history"))["ref"], 1, 1, 1)
        peer.roster((await peer.expect("members"))["ref"], 1, members=[varsha])
        await peer.gone()

    async with serving(behind) as server, client_of(server.address) as client:
        await client.join("lobby")
        events = aiter(client)
        assert (await anext(events)).text == "text 1"  # type: ignore[union-attr]
        changes = [await anext(events), await anext(events)]
        assert [(one.name, one.change) for one in changes] == [  # type: ignore[union-attr]
            ("Rita", "left"),
            ("Varsha", "entered"),
        ]


async def test_who_is_in_a_room_whose_join_was_asked_again_is_asked_for() -> None:
    """The answer may be the one of the first time, which was lost."""
    rita = {"t": "person", "sender": 9, "name": "Rita"}

    async def lossy(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("join")
        peer.cut()

    async def good(peer: Peer) -> None:
        await peer.greet()
        peer.roster((await peer.expect("join"))["ref"], 0, members=[rita])
        peer.roster((await peer.expect("members"))["ref"], 0)
        await peer.answer_pings()

    async with serving(lossy, good) as server, client_of(server.address) as client:
        await client.join("lobby")
        left = await next_of(client, hubbub.Presence)
        assert (left.name, left.change) == ("Rita", "left")


async def test_an_application_that_does_not_read_loses_nothing_and_holds_a_bounded_amount() -> None:
    """“The event queue to the application is bounded; answers must then not deadlock.”"""
    total = 3 * MAX_EVENTS

    async def busy(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=0)
        for seq in range(1, total + 1):
            peer.message(seq)
        while True:
            frame = await peer.frame()
            if frame["t"] == "history":
                after = frame["after"]
                peer.page(frame["ref"], after + 1, min(after + frame["limit"], total), total)
            elif frame["t"] == "members":
                peer.roster(frame["ref"], total)
            elif frame["t"] == "ping":
                peer.send("pong", ref=frame["ref"])

    async with serving(busy) as server, client_of(server.address) as client:
        await client.join("lobby")
        for _ in range(3):
            await client.ping()
        assert len(client._session.queue._events) <= MAX_EVENTS + 64
        assert await texts_of(client, total) == [f"text {seq}" for seq in range(1, total + 1)]


async def test_an_application_that_does_not_read_has_nothing_paged() -> None:
    """“Past some thousand events the rest stays on the server until the reader has caught up.”

    A program that only talks, as `hubbub send`, asked for one page again and again; where lines
    were refused for their number, and went one at a time, it came to say nothing at all.
    """
    total = MAX_EVENTS + 10
    quiet = asyncio.Event()

    async def busy(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=0)
        for seq in range(1, total + 1):
            peer.message(seq)
        peer.send("pong", ref=(await peer.expect("ping"))["ref"])
        peer.refuse(await peer.expect("say"), "limit", retry_after=0.01)
        await peer.ok("say", seq=total)
        await peer.nothing(0.1)
        quiet.set()
        frame = await peer.expect("history")
        peer.page(frame["ref"], frame["after"] + 1, total, total)
        peer.roster((await peer.expect("members"))["ref"], total)
        await peer.answer_pings()

    async with serving(busy) as server, client_of(server.address) as client:
        await client.join("lobby")
        await client.ping()
        await client.say("lobby", "hi")
        await quiet.wait()
        assert await texts_of(client, total) == [f"text {seq}" for seq in range(1, total + 1)]


@pytest.mark.parametrize("end", ["cut", "limited", "moving"])
async def test_a_page_that_went_with_its_connection_is_asked_for_on_the_next(end: str) -> None:
    """Once, and at once. Else the room would count as one being paged, and never be live again."""

    async def first(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=0)
        peer.send("behind", room="lobby", next=1, head=1, epoch=7)
        history = await peer.expect("history")
        if end == "moving":
            peer.send("moving", within=0.1)
            await peer.gone()
        elif end == "limited":
            peer.refuse(history, "limit", retry_after=60)
        peer.cut()

    async def second(peer: Peer) -> None:
        await peer.greet(rooms=[{"t": "roomstate", "room": "lobby", "head": 2}])
        history = await peer.expect("history")
        assert history["after"] == 0
        peer.page(history["ref"], 1, 2, 2)
        peer.roster((await peer.expect("members"))["ref"], 2)
        peer.message(3)
        await peer.answer_pings()

    async with serving(first, second) as server, client_of(server.address) as client:
        await client.join("lobby")
        assert await texts_of(client, 3) == ["text 1", "text 2", "text 3"]


async def test_when_asked_to_move_the_client_resumes_elsewhere_and_loses_nothing() -> None:
    """“moving → reconnect elsewhere, without losing what is in flight.”"""

    async def draining(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=0)
        peer.send("moving", within=0.2)
        peer.message(1)
        await peer.expect("say")  # never answered here
        await peer.gone()

    async def good(peer: Peer) -> None:
        state = {"t": "roomstate", "room": "lobby", "head": 1}
        frame = await peer.greet(rooms=[state])
        assert frame["rooms"] == {"lobby": 1}
        frames: dict[str, Fields] = {}
        while set(frames) != {"say", "members"}:
            frame = await peer.frame()
            frames[frame["t"]] = frame
        peer.roster(frames["members"]["ref"], 1)
        peer.send("ok", ref=frames["say"]["ref"], room="lobby", seq=2)
        peer.message(2)
        await peer.gone()

    async with serving(draining, good) as server, client_of(server.address) as client:
        await client.join("lobby")
        assert (await client.say("lobby", "hi")).seq == 2
        assert await texts_of(client, 2) == ["text 1", "text 2"]


async def test_while_moving_the_old_connection_may_end_first() -> None:
    """The old gateway hears of the `resume` before the client hears the `welcome`."""
    resumed = asyncio.Event()
    replaced = asyncio.Event()
    text = "the session goes on elsewhere"

    async def draining(peer: Peer) -> None:
        await peer.greet()
        say = await peer.expect("say")
        peer.send("moving", within=0.1)
        await resumed.wait()
        peer.send("error", ref=say["ref"], code="replaced", text=text)
        peer.send("error", code="replaced", text=text)
        peer.cut()
        await peer.gone()
        replaced.set()

    async def good(peer: Peer) -> None:
        resume = await peer.expect("resume")
        resumed.set()
        await replaced.wait()
        peer.welcome(resume)
        peer.send("ok", ref=(await peer.expect("say"))["ref"], seq=1)
        await peer.gone()

    async with serving(draining, good) as server, client_of(server.address) as client:
        assert (await client.say("lobby", "hi")).seq == 1
        assert server.connections == 2


async def test_a_new_numbering_is_told_and_the_room_goes_on_from_its_head() -> None:
    async def first(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=40)
        peer.message(41)
        peer.cut()

    async def put_back(peer: Peer) -> None:
        frame = await peer.expect("resume")
        peer.send(
            "error", ref=frame["ref"], code="epoch_changed", text="numbering", epoch=8, head=0
        )
        await peer.gone()

    async def good(peer: Peer) -> None:
        state = {"t": "roomstate", "room": "lobby", "head": 3}
        frame = await peer.greet(epoch=8, rooms=[state])
        assert "rooms" not in frame
        members = await peer.expect("members")
        peer.send("roster", ref=members["ref"], room="lobby", head=3, epoch=8)
        peer.message(4)
        await peer.gone()

    async with serving(first, put_back, good) as server, client_of(server.address) as client:
        await client.join("lobby")
        events = aiter(client)
        seen = [await anext(events) for _ in range(5)]
        assert seen[2] == hubbub.EpochReset(8)
        assert [one.seq for one in seen if isinstance(one, Message)] == [41, 4]


async def test_a_cursor_above_a_head_of_no_named_room_makes_all_of_them_void() -> None:
    """A server of before did not say which it was: with the same cursors it refuses for ever."""

    async def first(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=40)
        peer.cut()

    async def unnamed(peer: Peer) -> None:
        resume = await peer.expect("resume")
        assert resume["rooms"] == {"lobby": 40}
        peer.refuse(resume, "epoch_changed", epoch=7, head=3)
        await peer.gone()

    async def good(peer: Peer) -> None:
        resume = await peer.greet(rooms=[{"t": "roomstate", "room": "lobby", "head": 3}])
        assert "rooms" not in resume
        peer.roster((await peer.expect("members"))["ref"], 3)
        peer.message(4)
        await peer.answer_pings()

    async with serving(first, unnamed, good) as server, client_of(server.address) as client:
        await client.join("lobby")
        seen = [await anext(client) for _ in range(4)]
        assert hubbub.EpochReset(7) in seen
        assert [one.seq for one in seen if isinstance(one, Message)] == [4]


async def two_rooms(peer: Peer) -> None:
    """A guest joins one whose head is 3, and one whose head is 9, and is cut off."""
    await peer.greet()
    await peer.let_join(head=3)
    await peer.let_join(head=9)
    peer.cut()


async def session_over(peer: Peer) -> None:
    """And cannot resume."""
    peer.refuse(await peer.expect("resume"), "expired")
    await peer.gone()


async def test_who_is_cut_off_on_the_way_back_into_the_rooms_goes_on_with_it() -> None:
    """A guest's new session was resumed, was in no room yet, and so they counted as lost."""
    asked: dict[str, bytes] = {}

    async def second(peer: Peer) -> None:
        await peer.greet(sender=2)
        for _ in range(2):
            join = await peer.expect("join")
            asked[join["room"]] = join["id"]
        peer.cut()

    async def third(peer: Peer) -> None:
        """Of one the `join` was carried out, of the other not."""
        den = {"t": "roomstate", "room": "den", "head": 9}
        assert (await peer.greet(sender=2, rooms=[den]))["t"] == "resume"
        frames = {frame["t"]: frame for frame in (await peer.frame(), await peer.frame())}
        peer.roster(frames["members"]["ref"], 9, room="den")
        join = frames["join"]
        # The same id: whoever was in again and was put out since stays out.
        assert (join["room"], join["since"], join["id"]) == ("lobby", 3, asked["lobby"])
        peer.roster(join["ref"], 3)
        peer.message(4)
        peer.message(10, room="den")
        await peer.answer_pings()

    async with (
        serving(two_rooms, session_over, second, third) as server,
        client_of(server.address) as client,
    ):
        await client.join("lobby")
        await client.join("den")
        assert await texts_of(client, 2) == ["text 4", "text 10"]
        assert client.joined == ["lobby", "den"]


async def test_a_room_whose_name_is_anothers_by_now_is_lost_and_no_other_room() -> None:
    """A guest's session was over, and the rooms are joined anew: this one begins below."""

    async def second(peer: Peer) -> None:
        await peer.greet(sender=2)
        for _ in range(2):
            join = await peer.expect("join")
            if join["room"] == "den":
                assert (join["since"], join["epoch"]) == (9, 7)
                peer.refuse(join, "epoch_changed", epoch=7, head=2)
            else:
                assert join["since"] == 3
                peer.roster(join["ref"], 3)
        peer.message(4)
        await peer.answer_pings()

    async with (
        serving(two_rooms, session_over, second) as server,
        client_of(server.address) as client,
    ):
        await client.join("lobby")
        await client.join("den")
        told = []
        async for event in client:
            told.append(event)
            if isinstance(event, Message):
                break
        assert hubbub.RoomLost("den", "another room has its name now") in told
        assert not any(isinstance(one, hubbub.EpochReset) for one in told)
        assert client.joined == ["lobby"]


async def test_when_all_is_numbered_anew_no_room_is_taken_for_anothers() -> None:
    """Two were asked for under the numbering of before; the second refusal names today's."""

    async def second(peer: Peer) -> None:
        await peer.greet(sender=2)
        joins = [await peer.expect("join") for _ in range(2)]
        for join in joins:
            peer.refuse(join, "epoch_changed", epoch=8, head=1)
        for _ in joins:
            again = await peer.expect("join")
            assert "since" not in again
            peer.roster(again["ref"], 1, room=again["room"], epoch=8)
        peer.message(2)
        await peer.answer_pings()

    async with (
        serving(two_rooms, session_over, second) as server,
        client_of(server.address) as client,
    ):
        await client.join("lobby")
        await client.join("den")
        told = []
        async for event in client:
            told.append(event)
            if isinstance(event, Message):
                break
        assert [one for one in told if isinstance(one, hubbub.EpochReset)] == [hubbub.EpochReset(8)]
        assert not any(isinstance(one, hubbub.RoomLost) for one in told)
        assert client.joined == ["lobby", "den"]


async def test_what_is_no_longer_kept_is_told() -> None:
    async def forgetful(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=10)
        history = await peer.expect("history")
        peer.send(
            "page",
            ref=history["ref"],
            room="lobby",
            events=[
                {
                    "t": "message", "room": "lobby", "seq": 10, "sender": 9, "name": "Rita",
                    "text": "text 10", "at": 1,
                }
            ],
            head=10,
            first=10,
            epoch=7,
        )  # fmt: skip
        peer.roster((await peer.expect("members"))["ref"], 10)
        await peer.gone()

    async with serving(forgetful) as server, client_of(server.address) as client:
        await client.join("lobby", since=2)
        events = aiter(client)
        assert await anext(events) == hubbub.Lacking("lobby", 3, 9)
        assert await texts_of(client, 1) == ["text 10"]


async def test_a_server_whose_history_never_comes_is_not_asked_in_a_busy_loop() -> None:
    asked = 0

    async def broken(peer: Peer) -> None:
        nonlocal asked
        await peer.greet(rooms=[{"t": "roomstate", "room": "lobby", "head": 5}])
        while True:
            frame = await peer.frame()
            if frame["t"] == "join":
                peer.roster(frame["ref"], 5)
            elif frame["t"] == "history":
                asked += 1
                peer.page(frame["ref"], 1, 0, 5)
            elif frame["t"] == "members":
                peer.roster(frame["ref"], 5)

    async with serving(broken) as server, client_of(server.address) as client:
        await client.join("lobby", since=2)
        events = aiter(client)
        async with asyncio.timeout(5):
            while not isinstance(await anext(events), hubbub.Disconnected):
                pass
        assert asked < 50

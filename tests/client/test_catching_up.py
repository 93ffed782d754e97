"""What a client does about what it has missed: holes, pages, moves, histories that end."""

from __future__ import annotations

import asyncio

import pytest

import hubbub
from hubbub.client_events import MAX_EVENTS
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

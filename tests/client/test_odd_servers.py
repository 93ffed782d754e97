"""Servers that break off, keep silent, talk rubbish or send a client elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest

import hubbub
from hubbub.client import Client
from hubbub.client_events import MAX_EVENTS
from hubbub.frames import Message
from tests.client.odd_server import Fields, Peer, serving
from tests.support import eventually

FAST = hubbub.Patience(
    connect_within=5, greet_within=0.3, answer_within=0.3, ask_within=5, bye_within=0.1
)


def client_of(address: str, name: str | None = "Radha") -> Client:
    return hubbub.connect(address, name=name, patience=FAST)


async def texts_of(client: Client, count: int) -> list[str]:
    texts: list[str] = []
    async with asyncio.timeout(10):
        async for event in client:
            if isinstance(event, Message):
                texts.append(event.text)
                if len(texts) == count:
                    break
    return texts


async def test_a_server_that_accepts_and_is_mute_is_left_for_another_connection() -> None:
    """“Not greeted within 2 s: try again from a new connection.”"""

    async def good(peer: Peer) -> None:
        await peer.greet()
        await peer.gone()

    async with serving(Peer.gone, Peer.gone, good) as server:
        began = time.monotonic()
        async with client_of(server.address) as client:
            assert client.name == "Radha"
        assert server.connections == 3
        assert time.monotonic() - began < 3


async def test_a_server_that_is_late_and_says_so_is_waited_for() -> None:
    """A `beat` before the `welcome`: the gateway lives, and what it waits for others would, too."""

    async def late(peer: Peer) -> None:
        hello = await peer.expect("hello")
        for _ in range(12):
            await peer.silence(0.1)
            peer.send("beat")
        peer.welcome(hello)
        await peer.gone()

    patience = dataclasses.replace(FAST, greet_within=1)
    async with (
        serving(late) as server,
        hubbub.connect(server.address, name="Radha", patience=patience) as client,
    ):
        assert client.name == "Radha"
        assert server.connections == 1


async def test_nobody_there_is_unreachable_within_the_given_time() -> None:
    async with serving(Peer.gone) as server:
        address = server.address
    began = time.monotonic()
    with pytest.raises(hubbub.Unreachable, match=f"{address}: Connection refused"):
        async with hubbub.connect(address, connect_within=0.5):
            pass
    with pytest.raises(hubbub.Refused, match="white space"):
        async with hubbub.connect(address, name="Ra dha"):
            pass
    assert 0.4 < time.monotonic() - began < 2


async def test_a_taken_name_is_refused_at_once() -> None:
    async def taken(peer: Peer) -> None:
        frame = await peer.frame()
        peer.send("error", ref=frame["ref"], code="name_taken", text="Radha is taken")
        await peer.gone()

    async with serving(taken) as server:
        with pytest.raises(hubbub.Refused) as caught:
            async with client_of(server.address):
                pass
        assert caught.value.code == hubbub.Code.NAME_TAKEN
        assert server.connections == 1


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xc1",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 10_000,
        b"\x81\xa1t\xa2ok",
        b"\xdb\xff\xff\xff\xff",
        b"\x00" * 1000,
    ],
)
async def test_after_rubbish_the_client_goes_on_with_a_new_connection(rubbish: bytes) -> None:
    async def broken(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("say")
        peer.send_bytes(rubbish)
        await peer.gone()

    async def good(peer: Peer) -> None:
        assert (await peer.greet())["t"] == "resume"
        say = await peer.expect("say")
        peer.send("ok", ref=say["ref"], seq=1)
        await peer.gone()

    async with serving(broken, good) as server, client_of(server.address) as client:
        assert (await client.say("lobby", "hi")).seq == 1


async def test_frames_of_kinds_unknown_here_are_skipped() -> None:
    async def newer(peer: Peer) -> None:
        await peer.greet()
        peer.send("fanfare", loud=True, of=[1, {"a": None}])
        peer.send("pong", ref=(await peer.expect("ping"))["ref"], more="fields")
        await peer.gone()

    async with serving(newer) as server, client_of(server.address) as client:
        await client.ping()
        assert server.connections == 1


async def test_unanswered_lines_are_asked_again_in_their_order_with_their_ids() -> None:
    """“Says pipelined by one client stay in the order they were called, also over a reconnect.”"""
    first: list[tuple[str, bytes]] = []
    second: list[tuple[str, bytes]] = []

    async def cut_off(peer: Peer) -> None:
        await peer.greet()
        for _ in range(20):
            frame = await peer.expect("say")
            first.append((frame["text"], frame["id"]))
        peer.send_bytes(b"\x83\xa1t\xa2ok\xa3ref")  # the middle of an ok
        peer.cut()

    async def good(peer: Peer) -> None:
        await peer.greet()
        for seq in range(1, 22):
            frame = await peer.expect("say")
            second.append((frame["text"], frame["id"]))
            peer.send("ok", ref=frame["ref"], seq=seq)
        await peer.gone()

    async with serving(cut_off, good) as server, client_of(server.address) as client:
        answers = [client.say_nowait("lobby", str(n)) for n in range(20)]
        await anext(aiter(client))  # Disconnected
        answers.append(client.say_nowait("lobby", "20"))
        assert [(await answer).seq for answer in answers] == list(range(1, 22))
    assert second[:20] == first
    assert [text for text, _ in second] == [str(n) for n in range(21)]


async def test_an_unknown_outcome_is_asked_again_before_anything_later() -> None:
    """`unknown`: neither done nor refused; the same id is asked again."""
    seen: list[tuple[str, bytes]] = []

    async def doubtful(peer: Peer) -> None:
        await peer.greet()
        frame = await peer.expect("say")
        seen.append((frame["text"], frame["id"]))
        peer.send("error", ref=frame["ref"], code="unknown", text="no answer in time")
        peer.send("pong", ref=(await peer.expect("ping"))["ref"])
        for seq in (1, 2):
            frame = await peer.expect("say")
            seen.append((frame["text"], frame["id"]))
            peer.send("ok", ref=frame["ref"], seq=seq)
        await peer.gone()

    async with serving(doubtful) as server, client_of(server.address) as client:
        one = client.say_nowait("lobby", "one")
        await client.ping()
        two = client.say_nowait("lobby", "two")
        assert ((await one).seq, (await two).seq) == (1, 2)
    assert [text for text, _ in seen] == ["one", "one", "two"]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("now", ["Radha3", "Radha"])
async def test_what_one_is_called_after_a_wish_that_was_repeated_is_asked_for(now: str) -> None:
    """Another device may have taken another name since, or this one's wish was done just now."""

    async def lost(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("nick")

    async def again(peer: Peer) -> None:
        await peer.greet(name=now)
        await peer.ok("nick")
        asked = await peer.expect("peers")
        name = now if now == "Radha3" else "Radha2"
        peer.send("peerlist", ref=asked["ref"], peers=[{"sender": 1, "name": name}])
        await peer.answer_pings()

    async with serving(lost, again) as server, client_of(server.address) as client:
        expected = now if now == "Radha3" else "Radha2"
        assert await client.nick("Radha2") == client.name == expected


async def test_what_another_device_has_taken_since_is_not_set_back_by_an_ok() -> None:
    """The answer is about the first of two names that were both told before it."""

    async def good(peer: Peer) -> None:
        await peer.greet(rooms=[{"room": "lobby", "head": 1}])
        nick = await peer.expect("nick")
        for seq, old, new in ((2, "Radha", "Radha2"), (3, "Radha2", "Radha3")):
            event = {"room": "lobby", "seq": seq, "sender": 1, "name": old, "to": new, "whom": 1}
            peer.send("event", kind="renamed", at=seq, **event)
        peer.send("ok", ref=nick["ref"])
        asked = await peer.expect("peers")
        peer.send("peerlist", ref=asked["ref"], peers=[{"sender": 1, "name": "Radha3"}])
        await peer.answer_pings()

    async with serving(good) as server, client_of(server.address) as client:
        assert await client.nick("Radha2") == client.name == "Radha3"


async def test_a_server_that_stops_answering_is_left_and_its_session_resumed() -> None:
    """“Unanswered request: no byte for some seconds after asking → redial.”"""

    async def frozen(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("say")
        await peer.gone()

    async def good(peer: Peer) -> None:
        frame = await peer.greet()
        assert frame["t"] == "resume"
        assert frame["token"] == "token-1"
        peer.send("ok", ref=(await peer.expect("say"))["ref"], seq=5)
        await peer.gone()

    async with serving(frozen, good) as server, client_of(server.address) as client:
        began = time.monotonic()
        assert (await client.say("lobby", "hi")).seq == 5
        assert time.monotonic() - began < 2


async def test_an_idle_server_is_asked_whether_it_is_there() -> None:
    patience = hubbub.Patience(ping_after=0.2, answer_within=0.2, greet_within=0.5)

    async def mute(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("ping")
        await peer.gone()

    async def good(peer: Peer) -> None:
        await peer.greet()
        while True:
            peer.send("pong", ref=(await peer.frame())["ref"])

    async with (
        serving(mute, good) as server,
        hubbub.connect(server.address, name="Radha", patience=patience) as client,
    ):
        events = aiter(client)
        assert isinstance(await anext(events), hubbub.Disconnected)
        assert await anext(events) == hubbub.Reconnected("Radha", True)
        await client.ping()


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


async def test_a_session_taken_over_elsewhere_ends_the_client() -> None:
    async def replaced(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("ping")
        peer.send("error", code="replaced", text="resumed on another connection")
        await peer.gone()

    async with serving(replaced) as server:
        async with client_of(server.address) as client:
            with pytest.raises(hubbub.Refused) as caught:
                await client.ping()
            assert caught.value.code == hubbub.Code.REPLACED
            with pytest.raises(hubbub.Refused):
                await anext(aiter(client))
        assert server.connections == 1


async def test_an_answer_that_never_comes_ends_in_a_typed_error_in_time() -> None:
    async def deaf(peer: Peer) -> None:
        await peer.greet()
        while True:
            await peer.frame()
            peer.send("beat")

    async with serving(deaf) as server, client_of(server.address) as client:
        with pytest.raises(hubbub.OutcomeUnknown):
            await client.say("lobby", "hi", within=0.3)


@pytest.mark.parametrize(
    ("room", "text", "code"),
    [("a b", "hi", "bad_name"), ("lobby\n", "hi", "bad_name"), ("lobby", "x" * 4001, "too_large"),
     ("lobby", "", "too_large"), ("lobby", "\ud800", "bad_name")],
)  # fmt: skip
async def test_what_would_break_the_protocol_is_refused_before_it_is_sent(
    room: str, text: str, code: str
) -> None:
    async def good(peer: Peer) -> None:
        await peer.greet()
        peer.send("pong", ref=(await peer.expect("ping"))["ref"])
        await peer.gone()

    async with serving(good) as server, client_of(server.address) as client:
        with pytest.raises(hubbub.Refused) as caught:
            await client.say(room, text)
        assert caught.value.code == code
        await client.ping()


async def test_nothing_is_left_behind_whatever_happens_inside() -> None:
    """“No task left behind after exit.”"""

    async def good(peer: Peer) -> None:
        await peer.greet()
        await peer.gone()

    async with serving(good) as server:
        before = asyncio.all_tasks()
        with pytest.raises(ZeroDivisionError):
            await _fail(server.address)
        waiting: asyncio.Task[None] = asyncio.create_task(_hang(server.address))
        await eventually(lambda: server.connections == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        ours = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not [name for name in ours if name.startswith("hubbub")]


async def _fail(address: str) -> None:
    async with client_of(address) as client:
        client.say_nowait("lobby", "never answered")
        raise ZeroDivisionError


async def _hang(address: str) -> None:
    async with client_of(address) as client:
        await anext(aiter(client))


async def test_what_was_not_answered_before_the_end_may_have_been_done_all_the_same() -> None:
    """“OutcomeUnknown: it may or may not have been done.”"""

    async def good(peer: Peer) -> None:
        await peer.greet()
        await peer.gone()

    async with serving(good) as server:
        async with client_of(server.address) as client:
            said = client.say_nowait("lobby", "never answered")
            looking = asyncio.ensure_future(client.rooms())
            await asyncio.sleep(0)
        with pytest.raises(hubbub.OutcomeUnknown):
            await said
        with pytest.raises(hubbub.Unreachable):
            await looking


async def test_only_one_may_read_the_events() -> None:
    async def good(peer: Peer) -> None:
        await peer.greet()
        await peer.gone()

    async with serving(good) as server, client_of(server.address) as client:
        reading = asyncio.ensure_future(anext(aiter(client)))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await anext(aiter(client))
        reading.cancel()

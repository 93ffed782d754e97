"""Servers that break off, keep silent, talk rubbish or send a client elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest

import hubbub
from tests.client.odd_client import FAST, client_of, told_until_a_message
from tests.client.odd_server import Peer, serving
from tests.support import eventually


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


async def test_a_name_that_ones_own_unanswered_hello_may_have_taken_is_asked_for_again() -> None:
    async def mute(peer: Peer) -> None:
        await peer.expect("hello")
        await peer.gone()

    async def taken(peer: Peer) -> None:
        peer.refuse(await peer.expect("hello"), "name_taken")
        await peer.gone()

    async def free(peer: Peer) -> None:
        assert (await peer.greet())["name"] == "Radha"
        await peer.gone()

    async with serving(mute, taken, free) as server, client_of(server.address) as client:
        assert client.name == "Radha"
        assert server.connections == 3


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
    """`unknown`: neither done nor refused; the same id is asked again, after a moment."""
    seen: list[tuple[str, bytes]] = []

    async def doubtful(peer: Peer) -> None:
        await peer.greet()
        frame = await peer.expect("say")
        seen.append((frame["text"], frame["id"]))
        peer.send("error", ref=frame["ref"], code="unknown", text="no answer in time")
        peer.send("pong", ref=(await peer.expect("ping"))["ref"])
        await peer.nothing(0.05)
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


@pytest.mark.parametrize("away", [False, True])
async def test_who_moves_is_told_of_a_lost_connection_only_when_nobody_takes_them_in(
    away: bool,
) -> None:
    async def closing(peer: Peer) -> None:
        await peer.greet()
        peer.send("moving", within=0.1)
        peer.cut()

    async def nobody(peer: Peer) -> None:
        peer.cut()

    async def good(peer: Peer) -> None:
        await peer.greet(rooms=[{"t": "roomstate", "room": "lobby", "head": 0}])
        peer.message(1)
        await peer.gone()

    scripts = (closing, nobody, good) if away else (closing, good)
    async with serving(*scripts) as server, client_of(server.address) as client:
        told = [type(event) for event in await told_until_a_message(client)]
        notices = [kind for kind in told if kind in (hubbub.Disconnected, hubbub.Reconnected)]
        assert notices == ([hubbub.Disconnected, hubbub.Reconnected] if away else [])


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

"""A client that is told that it asks too often, for too much, or too long."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest

import hubbub
from tests.client.odd_account import ACCOUNT, FAST, logged_in, next_of
from tests.client.odd_server import Peer, serving


async def test_lines_refused_for_their_number_are_asked_again_in_their_order() -> None:
    """“until their time is over”: piping a long file works."""
    said: list[str] = []
    side_by_side = asyncio.Event()

    async def strict(peer: Peer) -> None:
        await peer.greet()
        for _ in range(4):
            peer.refuse(await peer.expect("say"), "limit", retry_after=0.1)
        began = time.monotonic()
        for seq in range(1, 5):
            say = await peer.expect("say")
            assert time.monotonic() - began > 0.09
            said.append(say["text"])
            await peer.nothing(0.05)  # the next one waits for this one's answer
            peer.send("ok", ref=say["ref"], seq=seq)
        # And when none waits any more, they go side by side again.
        said.extend([(await peer.expect("say"))["text"] for _ in range(2)])
        side_by_side.set()
        await peer.gone()

    async with (
        serving(strict) as server,
        hubbub.connect(server.address, name="Radha", patience=FAST) as client,
    ):
        lines = [client.say_nowait("lobby", str(number)) for number in range(3)]
        await asyncio.sleep(0)
        lines.append(client.say_nowait("lobby", "3"))
        assert [(await line).seq for line in lines] == [1, 2, 3, 4]
        unanswered = [client.say_nowait("lobby", text) for text in ("4", "5")]
        await asyncio.wait_for(side_by_side.wait(), 5)
        for line in unanswered:
            line.cancel()
    assert said == ["0", "1", "2", "3", "4", "5"]


async def test_a_line_that_was_refused_does_not_overtake_one_that_was_not_answered() -> None:
    """“In the order they were called, also over a reconnect.”"""

    async def strict(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("say")  # never answered here
        peer.refuse(await peer.expect("say"), "limit", retry_after=1)
        peer.cut()

    async def good(peer: Peer) -> None:
        await peer.greet()
        assert [(await peer.ok("say", seq=seq))["text"] for seq in (1, 2)] == ["one", "two"]
        await peer.answer_pings()

    async with (
        serving(strict, good) as server,
        hubbub.connect(server.address, name="Radha", patience=FAST) as client,
    ):
        lines = [client.say_nowait("lobby", text) for text in ("one", "two")]
        assert [(await line).seq for line in lines] == [1, 2]


async def test_a_limit_longer_than_there_is_time_is_told_at_once() -> None:
    async def strict(peer: Peer) -> None:
        await peer.greet()
        peer.refuse(await peer.expect("say"), "limit", retry_after=60)
        peer.refuse(await peer.expect("history"), "limit", retry_after=0.01)
        peer.refuse(await peer.expect("register"), "limit", retry_after=0.01)
        peer.refuse(await peer.expect("join"), "limit")
        await peer.gone()

    async with (
        serving(strict) as server,
        hubbub.connect(server.address, name="Radha", patience=FAST) as client,
    ):
        calls = [
            client.say("lobby", "hi"),
            client.history("lobby"),  # without an id
            client.register("sesame"),  # nothing else is to wait for a throttle of passwords
            client.join("lobby"),  # too many rooms: waiting does not help
        ]
        for call in calls:
            with pytest.raises(hubbub.Refused) as caught:
                await call
            assert caught.value.code == hubbub.Code.LIMIT


async def test_a_line_that_was_limited_all_its_time_says_so() -> None:
    async def strict(peer: Peer) -> None:
        await peer.greet()
        while True:
            peer.refuse(await peer.expect("say"), "limit", retry_after=0.05)

    async with (
        serving(strict) as server,
        hubbub.connect(server.address, name="Radha", patience=FAST) as client,
    ):
        first = client.say_nowait("lobby", "a", within=5)
        with pytest.raises(hubbub.Refused) as caught:
            await client.say("lobby", "b", within=0.4)  # it was not done, and waits for the first
        assert caught.value.code == hubbub.Code.LIMIT
        first.cancel()
        client.keep_session = True


async def test_a_page_that_was_limited_is_asked_for_again() -> None:
    async def strict(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=2)
        peer.refuse(await peer.expect("history"), "limit", retry_after=0.02)
        peer.page((await peer.expect("history"))["ref"], 1, 2, 2)
        peer.refuse(await peer.expect("members"), "limit", retry_after=0.02)
        peer.roster((await peer.expect("members"))["ref"], 2)
        peer.send("presence", room="lobby", sender=9, name="Rita", change="entered")
        await peer.gone()

    async with (
        serving(strict) as server,
        hubbub.connect(server.address, name="Radha", patience=FAST) as client,
    ):
        await client.join("lobby", since=0)
        assert (await next_of(client, hubbub.Presence)).name == "Rita"


async def test_a_greeting_that_came_too_soon_is_repeated_when_it_may_be() -> None:
    began = 0.0

    async def strict(peer: Peer) -> None:
        nonlocal began
        began = time.monotonic()
        peer.refuse(await peer.expect("login"), "limit", retry_after=0.5)
        await peer.gone()

    async def good(peer: Peer) -> None:
        assert time.monotonic() - began > 0.45
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.gone()

    async with logged_in(strict, good) as (client, _):
        assert client.account


async def test_a_gateway_that_is_full_is_left_for_another_at_once() -> None:
    """Its `limit` has no `ref`: it is about the connection."""

    async def full(peer: Peer) -> None:
        peer.send("error", code="limit", text="too many connections here", retry_after=30)
        await peer.gone()

    async def good(peer: Peer) -> None:
        await peer.greet(device="device-1", **ACCOUNT)
        await peer.gone()

    async with logged_in(full, good) as (client, _):
        assert client.account


async def test_a_greeting_that_may_be_repeated_much_later_is_refused_at_once() -> None:
    async def strict(peer: Peer) -> None:
        peer.refuse(await peer.expect("login"), "limit", retry_after=30)
        await peer.gone()

    async with serving(strict) as server:
        began = time.monotonic()
        with pytest.raises(hubbub.Refused) as caught:
            async with hubbub.connect(server.address, name="R", password="?", patience=FAST):
                pass
        assert (caught.value.code, caught.value.retry_after) == (hubbub.Code.LIMIT, 30)
        assert time.monotonic() - began < 2


async def test_how_long_a_text_may_be_is_the_servers_word() -> None:
    async def short(peer: Peer) -> None:
        await peer.greet(max_text=10)
        await peer.ok("say", seq=1)
        await peer.ok("topic")
        await peer.gone()

    async def long(peer: Peer) -> None:
        await peer.greet(max_text=5000)
        assert len((await peer.ok("say", seq=1))["text"]) == 4500
        await peer.gone()

    async with serving(short, long) as server:
        async with hubbub.connect(server.address, name="Radha", patience=FAST) as client:
            for attempt in (client.say("lobby", "x" * 11), client.edit("lobby", 1, "")):
                with pytest.raises(hubbub.Refused, match="1 to 10 characters") as caught:
                    await attempt
                assert caught.value.code == hubbub.Code.TOO_LARGE
            await client.say("lobby", "x" * 10)
            await client.topic("lobby", "")
        patience = dataclasses.replace(FAST, connect_within=2)
        async with hubbub.connect(server.address, name="Radha", patience=patience) as client:
            await client.say("lobby", "x" * 4500)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda client: client.register("x" * 257), "bad_password"),
        (lambda client: client.invite("lobby", "Ri ta"), "bad_name"),
        (lambda client: client.rename("Rita", "Ri:ta"), "bad_name"),
        (lambda client: client.say("@Ri ta", "hi"), "bad_name"),
        (lambda client: client.kick("lobby", "Rita", "x" * 201), "too_large"),
    ],
)
async def test_what_no_server_takes_is_refused_here(call: Any, code: str) -> None:
    async def good(peer: Peer) -> None:
        await peer.greet()
        await peer.answer_pings()

    async with (
        serving(good) as server,
        hubbub.connect(server.address, name="Radha", patience=FAST) as client,
    ):
        with pytest.raises(hubbub.Refused) as caught:
            await call(client)
        assert caught.value.code == code
        assert "'@'" not in caught.value.text
        await client.ping()

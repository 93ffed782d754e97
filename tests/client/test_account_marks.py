"""What an account has read and what it has not, on several devices."""

from __future__ import annotations

from typing import Any

from hubbub.client import Client
from hubbub.frames import Message
from tests.client.odd_account import ME, greet, next_of, radha, room_state, told
from tests.client.odd_server import Peer


async def test_unread_is_counted_from_the_mark_and_the_mark_never_moves_back() -> None:
    """“unread = count - marked. Saying moves one's own mark.”"""

    def message(peer: Peer, seq: int, count: int, sender: int = 9, **fields: Any) -> None:
        peer.send("message", room="lobby", seq=seq, count=count, sender=sender, name="Rita",
                  text="hi", at=1, **fields)  # fmt: skip

    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=10, count=6, mark=10, marked=6))
        ping = await peer.expect("ping")
        message(peer, 11, 7, mentions=[ME, 9])
        message(peer, 12, 8, mentions=[9])
        peer.send("pong", ref=ping["ref"])
        ping = await peer.expect("ping")
        peer.send("marked", room="lobby", mark=11, marked=7)
        peer.send("marked", room="lobby", mark=10, marked=6, mentions=1)
        peer.send("pong", ref=ping["ref"])
        ping = await peer.expect("ping")
        message(peer, 13, 9, mentions=[ME])
        message(peer, 14, 10, sender=ME)
        message(peer, 15, 11)
        peer.send("pong", ref=ping["ref"])
        assert (await peer.ok("read"))["seq"] == 15
        await peer.answer_pings()

    def counts(client: Client) -> tuple[int, int, int]:
        state = client.state("lobby")
        assert state is not None
        return state.mark, state.unread, state.mentions

    async with radha(good) as (client, _):
        await told(client)
        assert counts(client) == (10, 2, 1)
        assert [one.mark for one in await told(client)] == [11, 10]
        assert counts(client) == (11, 1, 0)
        assert len(await told(client)) == 3
        assert counts(client) == (14, 1, 0)
        await client.read("lobby")
        assert counts(client) == (15, 0, 0)
        await client.read("lobby")  # nothing to tell
        await client.ping()


async def test_who_reads_beyond_the_head_is_marked_at_the_head() -> None:
    """“A mark never moves back”, so one above the head would stand there for ever."""

    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=1, count=1))
        assert (await peer.ok("read"))["seq"] == 999
        peer.message(2)
        await peer.answer_pings()

    async with radha(good) as (client, _):
        await client.read("lobby", 999)
        await told(client)
        state = client.state("lobby")
        assert state is not None
        assert (state.mark, state.head) == (1, 2)


async def test_only_what_was_given_to_the_application_is_marked_as_read() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=1))
        for seq in (2, 3, 4):
            peer.message(seq)
        peer.send("pong", ref=(await peer.expect("ping"))["ref"])
        assert (await peer.ok("read"))["seq"] == 3
        await peer.gone()

    async with radha(good) as (client, _):
        await client.ping()
        assert [(await next_of(client, Message)).seq for _ in range(2)] == [2, 3]
        await client.read("lobby")


async def test_mentions_that_the_server_has_counted_are_not_counted_again() -> None:
    """What is paged after a break stands in the state that the server told already."""

    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=3))
        peer.cut()

    async def again(peer: Peer) -> None:
        await greet(peer, room_state(head=5, count=5, mentions=1, mark=3, marked=3))
        history = await peer.expect("history")
        entries = [
            {"t": "message", "room": "lobby", "seq": seq, "count": seq, "sender": 9,
             "name": "Rita", "text": "@Radha", "at": 1, "mentions": [ME] if seq == 4 else []}
            for seq in (4, 5)
        ]  # fmt: skip
        peer.send("page", ref=history["ref"], room="lobby", events=entries, head=5, epoch=7)
        peer.roster((await peer.expect("members"))["ref"], 5)
        await peer.answer_pings()

    async with radha(good, again) as (client, _):
        assert [(await next_of(client, Message)).seq for _ in range(2)] == [4, 5]
        state = client.state("lobby")
        assert state is not None
        assert (state.unread, state.mentions) == (2, 1)


async def test_in_a_conversation_of_two_no_mentions_are_counted() -> None:
    """Every message is for oneself there; the server counts none either."""
    room = f"@{min(ME, 9)}:{max(ME, 9)}"

    async def good(peer: Peer) -> None:
        await greet(peer, {**room_state(head=3, count=3, mark=3, marked=3), "room": room})
        peer.send("message", room=room, seq=4, count=4, sender=9, name="Rita", text="@Radha",
                  at=1, mentions=[ME])  # fmt: skip
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert (await next_of(client, Message)).seq == 4
        state = client.state(room)
        assert state is not None
        assert (state.unread, state.mentions) == (1, 0)

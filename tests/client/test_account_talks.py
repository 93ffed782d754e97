"""Conversations of two: by whose name they go, and whom one knows by them."""

from __future__ import annotations

import hubbub
from hubbub.frames import Message
from tests.client.odd_account import FAST, ME, RITA, direct, greet, next_of, radha, room_state
from tests.client.odd_server import Fields, Peer, serving


async def test_a_conversation_goes_by_the_name_of_the_other_one() -> None:
    """“shows it as `@othername` to applications (both ways)”"""

    async def good(peer: Peer) -> None:
        await greet(peer, direct(head=1, count=1))
        peer.message(2, room="@3:9")
        fields = {"room": "@3:9", "sender": 9, "name": "Rita"}
        peer.send("presence", **fields, change="state", state="away")
        peer.send("typists", **fields)
        peer.send("marked", room="@3:9", mark=2, marked=2)
        say = await peer.ok("say", room="@3:9", seq=3)
        assert say["room"] == "@3:9"
        history = await peer.expect("history")
        assert history["room"] == "@3:9"
        peer.page(history["ref"], 1, 2, 2, room="@3:9")
        members = await peer.expect("members")
        peer.roster(members["ref"], 2, room=members["room"], members=[RITA])
        hit = {"t": "hit", "room": "@3:9", "message": _said("@3:9"), "before": [_said("@3:9")]}
        peer.send("found", ref=(await peer.expect("search"))["ref"], hits=[hit], next=4, more=True)
        unread = await peer.expect("unread")
        peer.send("states", ref=unread["ref"], rooms=[direct(head=2, count=2)])
        await peer.ok("leave")
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert client.joined == ["@Rita"]
        events = [await anext(client) for _ in range(4)]
        assert [one.room for one in events] == ["@Rita"] * 4  # type: ignore[union-attr]
        state = client.state("@rita")
        assert state is not None
        assert state.peer is not None
        assert (state.room, state.peer.name, state.unread) == ("@Rita", "Rita", 0)
        assert (await client.say("@RITA", "hi")).seq == 3
        assert [one.room for one in (await client.history("@Rita")).events] == ["@Rita"] * 2
        assert (await client.members("@Rita")).room == "@Rita"
        found = await client.search("text")
        assert (found.more, found.next) == (True, 4)
        hit = found.hits[0]
        assert (hit.room, hit.message.room, hit.before[0].room) == ("@Rita",) * 3
        assert [one.room for one in await client.unread()] == ["@Rita"]
        await client.leave("@Rita")
        assert client.joined == []


def _said(room: str) -> Fields:
    return {"t": "message", "room": room, "seq": 1, "sender": 9, "name": "R", "text": "", "at": 1}


async def test_somebody_one_never_talked_to_is_called_by_name() -> None:
    """“client.say("@bob", ...) needs no join”; whoever writes first is told as `joined`."""

    async def good(peer: Peer) -> None:
        await greet(peer)
        say = await peer.expect("say")
        assert say["room"] == "@rita"
        peer.send("joined", room="@3:9", head=0, peer=RITA, epoch=7)
        peer.message(1, "hi", room="@3:9", sender=ME)
        peer.send("ok", ref=say["ref"], room="@3:9", seq=1)
        hits = [{"t": "hit", "room": "@3:77", "message": _said("@3:77")}]
        peer.send("found", ref=(await peer.expect("search"))["ref"], hits=hits)
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert (await client.say("@rita", "hi")).room == "@Rita"
        assert (await next_of(client, hubbub.Joined)).room == "@Rita"
        assert (await next_of(client, Message)).room == "@Rita"
        found = await client.search("hi")
        assert found.hits[0].room == "@3:77"  # nobody we know


async def test_who_is_not_introduced_is_known_by_what_they_say() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, room_state("@3:9", head=1))
        peer.message(2, room="@3:9", sender=ME)
        peer.message(3, room="@3:9")
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert [(await next_of(client, Message)).room for _ in range(2)] == ["@3:9", "@Rita"]
        assert client.joined == ["@Rita"]


async def test_a_conversation_takes_the_new_name_of_the_other_one() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=1), direct(head=1))
        renamed = {"kind": "renamed", "sender": 9, "name": "Rita", "to": "Ria", "at": 1}
        peer.send("event", room="lobby", seq=2, **renamed)
        peer.message(2, room="@3:9")
        peer.send("event", room="@3:9", seq=3, **renamed)
        peer.message(4, room="@3:9")
        assert (await peer.ok("say"))["room"] == "@3:9"
        assert (await peer.ok("say"))["room"] == "@Rita"  # somebody else by now, or nobody
        await peer.answer_pings()

    async with radha(good) as (client, _):
        events = [await anext(client) for _ in range(4)]
        rooms = [one.room for one in events]  # type: ignore[union-attr]
        assert rooms == ["lobby", "@Rita", "@Rita", "@Ria"]  # each in the log where it happened
        assert client.joined == ["lobby", "@Ria"]
        await client.say("@ria", "hi")
        await client.say("@Rita", "hi")


async def test_a_guests_conversations_do_not_go_along_into_an_account() -> None:
    async def guest(peer: Peer) -> None:
        await peer.greet(sender=5)
        join = await peer.expect("join")
        assert join["room"] == "@Rita"
        peer.roster(join["ref"], 0, room="@5:9", peer=RITA)
        await peer.ok("bye")

    async def account(peer: Peer) -> None:
        await peer.greet(sender=ME, account=True, device="device-1")
        await peer.answer_pings()  # and no join

    async with (
        serving(guest, account) as server,
        hubbub.connect(server.address, name="Guest", patience=FAST) as client,
    ):
        assert (await client.join("@Rita")).room == "@Rita"
        await client.login("Radha", "sesame")
        assert (await next_of(client, hubbub.RoomLost)).room == "@Rita"
        await client.ping()

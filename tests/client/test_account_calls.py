"""What an account asks for besides talking, and what is told to it alone."""

from __future__ import annotations

from typing import Any

import pytest

import hubbub
from tests.client.odd_account import RITA, direct, greet, radha, room_state, told
from tests.client.odd_server import Fields, Peer


async def test_what_is_told_to_oneself_reaches_the_application() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=1))
        peer.send("typists", room="lobby", sender=9, name="Rita")
        peer.send("typists", room="elsewhere", sender=9, name="Rita")
        peer.send("invited", room="den", by="Rita", title="ours")
        peer.send("announcement", text="closing soon", by="root", at=1)
        typing = await peer.expect("typing")
        assert typing["room"] == "lobby"
        peer.refuse(typing, "not_member")  # nobody hears of that
        await peer.answer_pings()

    async with radha(good) as (client, _):
        await client.typing("lobby")
        assert await told(client) == [
            hubbub.Typists("lobby", 9, "Rita"),
            hubbub.Invited("den", "Rita", "ours"),
            hubbub.Announcement("closing soon", "root", 1),
        ]
        assert [(one.room, one.by) for one in client.invitations] == [("den", "Rita")]


CALLS: list[tuple[Any, Fields]] = [
    (lambda c: c.edit("lobby", 4, "new"), {"t": "edit", "seq": 4, "text": "new"}),
    (lambda c: c.delete("lobby", 4, "why"), {"t": "delete", "seq": 4, "text": "why"}),
    (lambda c: c.react("lobby", 4, "+1", False), {"t": "react", "reaction": "+1", "on": False}),
    (lambda c: c.say("lobby", "x", reply=4), {"t": "say", "reply": 4}),
    (lambda c: c.topic("lobby", "tea"), {"t": "topic", "text": "tea"}),
    (lambda c: c.visibility("lobby", True), {"t": "visibility", "private": True}),
    (lambda c: c.invite("lobby", "Rita"), {"t": "invite", "name": "Rita"}),
    (lambda c: c.kick("lobby", "Rita", "noise"), {"t": "kick", "text": "noise"}),
    (lambda c: c.ban("lobby", "Rita", seconds=60), {"t": "ban", "seconds": 60}),
    (lambda c: c.unban("lobby", "Rita"), {"t": "unban", "name": "Rita"}),
    (lambda c: c.mute("lobby", "Rita", on=False), {"t": "mute", "on": False}),
    (lambda c: c.role("lobby", "Rita", "owner"), {"t": "role", "role": "owner"}),
    (lambda c: c.revoke(7), {"t": "revoke", "device": 7}),
    (lambda c: c.promote("Rita", key="k"), {"t": "promote", "name": "Rita", "key": "k"}),
    (lambda c: c.suspend("Rita", "spam", 60), {"t": "suspend", "seconds": 60}),
    (lambda c: c.rename("Rita", "Ria"), {"t": "rename", "name": "Rita", "to": "Ria"}),
    (lambda c: c.close_room("lobby", "over"), {"t": "close", "text": "over"}),
    (lambda c: c.announce("tea"), {"t": "announce", "text": "tea"}),
]


@pytest.mark.parametrize(("call", "wanted"), CALLS)
async def test_every_change_is_asked_with_an_id_until_it_is_answered(
    call: Any, wanted: Fields
) -> None:
    asked: list[Fields] = []

    async def first(peer: Peer) -> None:
        await greet(peer)
        asked.append(await peer.frame())
        peer.cut()

    async def second(peer: Peer) -> None:
        await greet(peer)
        asked.append(await peer.ok(wanted["t"], seq=5))
        await peer.gone()

    async with radha(first, second) as (client, _):
        answer = await call(client)
        assert answer is None or answer.seq == 5
    assert asked[0] == asked[1]
    assert len(asked[0]["id"]) == 16
    assert wanted.items() <= asked[0].items()


async def test_lists_are_given_as_lists() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer)
        device = {"t": "device", "device": 1, "label": "chat", "made_at": 1, "used_at": 2}
        peer.send("devicelist", ref=(await peer.expect("devices"))["ref"], devices=[device])
        restriction = {"t": "restriction", "kind": "ban", "name": "Rita", "by": "Radha", "at": 1}
        ref = (await peer.expect("restrictions"))["ref"]
        peer.send("restrictionlist", ref=ref, room="lobby", restrictions=[restriction])
        audit = await peer.expect("audit")
        assert (audit["before"], audit["limit"]) == (9, 5)
        entry = {"t": "auditentry", "number": 8, "at": 1, "by": "root", "action": "suspend"}
        peer.send("auditlog", ref=audit["ref"], entries=[entry])
        rooms = await peer.expect("rooms")
        assert rooms["search"] == "lob"
        info = {"t": "roominfo", "room": "lobby", "title": "tea"}
        peer.send("roomlist", ref=rooms["ref"], rooms=[info])
        members = await peer.expect("members")
        assert members["offline"]
        off = {**RITA, "state": "offline"}
        peer.roster(members["ref"], 0, members=[off])
        await peer.gone()

    async with radha(good) as (client, _):
        assert [one.label for one in await client.devices()] == ["chat"]
        assert [one.kind for one in await client.restrictions("lobby")] == ["ban"]
        assert [one.number for one in await client.audit(before=9, limit=5)] == [8]
        assert [one.title for one in await client.rooms("lob")] == ["tea"]
        assert [one.state for one in (await client.members("lobby", True)).members] == ["offline"]


async def test_whom_one_blocks_is_known_by_number() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, direct(head=1), blocked=[4])
        await peer.ok("block")
        await peer.ok("block")
        await peer.gone()

    async with radha(good) as (client, _):
        assert client.blocked == {4}
        await client.block("rita")
        assert client.blocked == {4, 9}
        await client.block("RITA", on=False)
        assert client.blocked == {4}


async def test_whom_one_blocks_without_having_met_them_is_known_by_number_too() -> None:
    """“Nothing they say is shown”, also where they come in later."""
    zoe: Fields = {"t": "peer", "name": "Zoe", "sender": 12}

    async def good(peer: Peer) -> None:
        await greet(peer)
        for _ in range(2):
            await peer.ok("block")
            peer.send("peerlist", ref=(await peer.expect("peers"))["ref"], peers=[zoe])
        await peer.gone()

    async with radha(good) as (client, _):
        await client.block("zoe")
        assert client.blocked == {12}
        await client.block("ZOE", on=False)
        assert client.blocked == frozenset()

"""How a client goes back into its rooms: numbered anew, another's by now, cut off on the way."""

from __future__ import annotations

import hubbub
from hubbub.frames import Message
from tests.client.odd_client import client_of, texts_of, told_until_a_message
from tests.client.odd_server import Peer, serving


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
        told = await told_until_a_message(client)
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
        told = await told_until_a_message(client)
        assert [one for one in told if isinstance(one, hubbub.EpochReset)] == [hubbub.EpochReset(8)]
        assert not any(isinstance(one, hubbub.RoomLost) for one in told)
        assert client.joined == ["lobby", "den"]

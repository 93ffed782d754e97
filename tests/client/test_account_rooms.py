"""The rooms of an account: entered and left elsewhere, lost, and who is in them."""

from __future__ import annotations

import asyncio

import hubbub
from hubbub.frames import Event, Message, Presence
from tests.client.odd_account import FAST, ME, RITA, greet, next_of, radha, room_state, told
from tests.client.odd_server import Peer, serving

# --- in and out -------------------------------------------------------------------------------


async def test_the_rooms_of_an_account_are_live_from_their_heads() -> None:
    """“the client is *in* these rooms”, without joining any."""

    async def good(peer: Peer) -> None:
        await greet(
            peer, room_state(head=8, count=7, marked=5, mark=6, mentions=1, title="T", role="owner")
        )
        peer.message(9)
        peer.send("presence", room="lobby", sender=9, name="Rita", change="left")
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert client.joined == ["lobby"]
        state = client.state("LOBBY")
        assert state is not None
        assert (state.room, state.title, state.role) == ("lobby", "T", "owner")
        assert (state.head, state.unread, state.mentions) == (9, 2, 1)
        assert [type(one) for one in await told(client)] == [Message, Presence]
        assert client.state("den") is None


async def test_after_a_new_login_known_rooms_go_on_from_the_cursor_and_others_from_the_head() -> (
    None
):
    async def first(peer: Peer) -> None:
        await greet(peer, room_state(head=3), room_state("den", head=5))
        peer.message(4)
        peer.cut()

    async def expired(peer: Peer) -> None:
        peer.refuse(await peer.expect("resume"), "expired")
        await peer.gone()

    async def second(peer: Peer) -> None:
        await greet(peer, room_state(head=6), room_state("attic", head=7, title="up"))
        history = await peer.expect("history")
        assert (history["room"], history["after"]) == ("lobby", 4)
        peer.page(history["ref"], 5, 6, 6)
        peer.roster((await peer.expect("members"))["ref"], 6)
        await peer.answer_pings()

    async with radha(first, expired, second) as (client, _):
        lost = await next_of(client, hubbub.RoomLost)
        assert lost.room == "den"
        joined = await next_of(client, hubbub.Joined)
        assert (joined.room, joined.head, joined.title) == ("attic", 7, "up")
        assert [(await next_of(client, Message)).seq for _ in range(2)] == [5, 6]
        await client.ping()  # and nothing was asked about the den
        assert client.joined == ["lobby", "attic"]


async def test_a_room_entered_elsewhere_right_after_it_was_left_here_is_not_lost_to_a_late_ok() -> (
    None
):
    """“every device of an account has the same rooms”: the answer to `leave` came after the
    `joined` by which another device has brought one back, and took it for what it had left."""

    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=3))
        left = await peer.expect("leave")
        peer.send("joined", room="lobby", head=5, count=4, epoch=7)
        peer.send("ok", ref=left["ref"], room="lobby")
        unread = await peer.expect("unread")
        peer.send("states", ref=unread["ref"], rooms=[room_state(head=5, count=4)])
        peer.message(6)
        await peer.answer_pings()

    async with radha(good) as (client, _):
        await client.leave("lobby")
        events = await told(client)
        assert [(type(one), one.room) for one in events] == [
            (hubbub.Joined, "lobby"),
            (Message, "lobby"),
        ]
        assert client.joined == ["lobby"]


async def test_a_leave_that_was_asked_again_leaves_what_the_server_says_one_is_out_of() -> None:
    async def first(peer: Peer) -> None:
        await greet(peer, room_state(head=3), room_state("den", head=3))
        for _ in range(2):
            await peer.expect("leave")
        peer.cut()

    async def second(peer: Peer) -> None:
        await greet(peer, room_state(head=3), room_state("den", head=6))
        for _ in range(2):  # one is done now; the other was, and the den was entered again since
            while (asked := await peer.frame())["t"] != "leave":
                if asked["t"] == "members":
                    peer.roster(asked["ref"], 3, room=asked["room"])
                else:
                    assert (asked["t"], asked["after"]) == ("history", 3)
                    peer.page(asked["ref"], 4, 6, 6, room="den")
            peer.send("ok", ref=asked["ref"], room=asked["room"])
        while True:
            asked = await peer.frame()
            if asked["t"] == "unread":
                peer.send("states", ref=asked["ref"], rooms=[room_state("den", head=6)])
            elif asked["t"] == "members":
                peer.roster(asked["ref"], 6, room=asked["room"])
            elif asked["t"] == "ping":
                peer.send("pong", ref=asked["ref"])
            elif asked["t"] == "bye":
                break

    async with radha(first, second) as (client, _):
        await asyncio.gather(client.leave("lobby"), client.leave("den"))
        await client.ping()
        assert client.joined == ["den"]


async def test_a_room_that_was_entered_elsewhere_is_told_and_live() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, invitations=[{"t": "invitation", "room": "Den", "by": "Rita"}])
        peer.send("pong", ref=(await peer.expect("ping"))["ref"])
        peer.send("joined", room="Den", head=4, count=4, members=[RITA], marked=3, epoch=7)
        peer.message(5, room="Den")
        peer.send("presence", room="Den", sender=9, name="Rita", change="entered")
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert [one.room for one in client.invitations] == ["Den"]
        await client.ping()
        joined = await next_of(client, hubbub.Joined)
        assert (joined.room, [one.name for one in joined.members]) == ("Den", ["Rita"])
        assert (await next_of(client, Message)).seq == 5
        assert await told(client) == []  # that Rita entered is no news
        state = client.state("den")
        assert state is not None
        assert (state.unread, [one.name for one in state.members]) == (1, ["Rita"])
        assert client.invitations == []


async def test_who_is_put_out_does_not_go_back_by_itself() -> None:
    """“Kicked: ... must not be followed by an automatic rejoin.”"""

    async def first(peer: Peer) -> None:
        await greet(peer, room_state(head=3))
        peer.send("event", room="lobby", seq=4, kind="kicked", sender=9, name="Rita",
                  at=1, to="Radha", whom=ME, text="noise")  # fmt: skip
        peer.send("parted", room="lobby", why="kicked", by="Rita", text="noise")
        peer.message(5)
        peer.cut()

    async def second(peer: Peer) -> None:
        frame = await greet(peer)
        assert frame.get("rooms", {}) == {}
        await peer.answer_pings()

    async with radha(first, second) as (client, _):
        assert (await next_of(client, Event)).kind == "kicked"
        parted = await next_of(client, hubbub.Parted)
        assert (parted.room, parted.why, parted.by) == ("lobby", "kicked", "Rita")
        await next_of(client, hubbub.Reconnected)
        assert await told(client) == []
        assert client.joined == []


async def test_the_messages_of_a_room_end_when_one_is_put_out() -> None:
    """“The messages of one room until one is put out of it.”"""

    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=3), room_state("den"))
        peer.send("parted", room="den", why="kicked", by="Rita")
        peer.message(4)
        peer.send("parted", room="lobby", why="kicked", by="Rita")
        await peer.gone()

    async with radha(good) as (client, _), asyncio.timeout(10):
        assert [message.seq async for message in client.messages("Lobby")] == [4]


async def test_what_cannot_be_read_any_more_after_being_put_out_is_told() -> None:
    """“A reader has everything, or is told what it lacks.”"""

    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=3))
        peer.send("behind", room="lobby", next=4, head=6, epoch=7)
        history = await peer.expect("history")
        peer.send("parted", room="lobby", why="banned", by="Rita")
        peer.refuse(history, "not_member")
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert await next_of(client, hubbub.Lacking) == hubbub.Lacking("lobby", 4, 6)
        assert (await next_of(client, hubbub.Parted)).why == "banned"
        assert await told(client) == []  # the page that it is refused is of no room any more


async def test_a_room_that_is_being_left_is_not_told_to_be_lost() -> None:
    """The `leave` was carried out, and its answer went with the connection."""

    async def first(peer: Peer) -> None:
        await greet(peer, room_state(head=3))
        await peer.expect("leave")
        peer.cut()

    async def second(peer: Peer) -> None:
        await greet(peer)
        await peer.ok("leave")
        await peer.answer_pings()

    async with radha(first, second) as (client, _):
        await client.leave("lobby")
        assert not [one for one in await told(client) if isinstance(one, hubbub.RoomLost)]


async def test_a_guest_that_was_put_out_while_away_is_told_so() -> None:
    async def first(peer: Peer) -> None:
        await peer.greet()
        await peer.let_join(head=3)
        peer.cut()

    async def second(peer: Peer) -> None:
        await peer.greet()
        await peer.answer_pings()

    async with (
        serving(first, second) as server,
        hubbub.connect(server.address, name="Guest", patience=FAST) as client,
    ):
        await client.join("lobby")
        assert (await next_of(client, hubbub.RoomLost)).room == "lobby"
        await client.ping()


async def test_after_a_new_numbering_rooms_that_the_old_copy_lacks_are_joined_again() -> None:
    async def first(peer: Peer) -> None:
        await greet(peer, room_state(head=3))
        peer.cut()

    async def put_back(peer: Peer) -> None:
        peer.refuse(await peer.expect("resume"), "epoch_changed", epoch=8, head=0)
        await peer.gone()

    async def second(peer: Peer) -> None:
        await greet(peer, epoch=8)
        join = await peer.expect("join")
        assert "since" not in join
        peer.roster(join["ref"], 1, epoch=8)
        peer.message(2)
        await peer.answer_pings()

    async with radha(first, put_back, second) as (client, _):
        assert (await next_of(client, Message)).seq == 2


async def test_a_room_whose_name_another_has_is_lost_and_the_others_go_on() -> None:
    """While one was away it was closed, and another device has entered the new one."""

    async def first(peer: Peer) -> None:
        await greet(peer, room_state(head=3), room_state("den", head=9))
        peer.cut()

    async def another(peer: Peer) -> None:
        resume = await peer.expect("resume")
        assert resume["rooms"] == {"lobby": 3, "den": 9}
        peer.refuse(resume, "epoch_changed", epoch=7, head=1, room="den")
        await peer.gone()

    async def second(peer: Peer) -> None:
        resume = await peer.expect("resume")
        assert resume["rooms"] == {"lobby": 3}
        peer.welcome(resume, sender=3, rooms=[room_state(head=3), room_state("den", head=1)])
        peer.message(4)
        peer.message(2, room="den")
        await peer.answer_pings()

    async with radha(first, another, second) as (client, _):
        seen = [await anext(client) for _ in range(6)]
        assert [(type(one).__name__, getattr(one, "room", "")) for one in seen] == [
            ("Disconnected", ""),
            ("RoomLost", "den"),
            ("Joined", "den"),
            ("Reconnected", ""),
            ("Message", "lobby"),
            ("Message", "den"),
        ]
        assert seen[1] == hubbub.RoomLost("den", "another room has its name now")


async def test_after_a_new_login_a_room_that_is_lower_than_before_goes_on_from_its_head() -> None:
    """Another has its name, and a login names no cursors by which the server would notice."""

    async def first(peer: Peer) -> None:
        await greet(peer, room_state(head=9))
        peer.cut()

    async def expired(peer: Peer) -> None:
        peer.refuse(await peer.expect("resume"), "expired")
        await peer.gone()

    async def second(peer: Peer) -> None:
        await greet(peer, room_state(head=1))
        peer.message(2)
        await peer.answer_pings()

    async with radha(first, expired, second) as (client, _):
        assert (await next_of(client, Message)).seq == 2


async def test_joining_a_room_one_is_in_already_reaches_back_to_the_given_number() -> None:
    """With `since` those above that number arrive, each once, whatever came meanwhile."""

    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=6))
        peer.message(7)
        join = await peer.expect("join")
        assert (join["since"], join["epoch"]) == (4, 7)
        peer.roster(join["ref"], 7)
        peer.send("behind", room="lobby", next=5, head=7, epoch=7)
        history = await peer.expect("history")
        assert history["after"] == 4
        peer.page(history["ref"], 5, 7, 7)
        peer.roster((await peer.expect("members"))["ref"], 7)
        peer.message(8)
        peer.roster((await peer.expect("members"))["ref"], 8)  # joined by now: only asked
        await peer.answer_pings()

    async with radha(good) as (client, _):
        assert (await next_of(client, Message)).seq == 7
        await client.join("lobby", since=4)
        assert [(await next_of(client, Message)).seq for _ in range(3)] == [5, 6, 8]
        await client.join("lobby", since=0)
        await client.ping()


# --- who is there -----------------------------------------------------------------------------


async def test_roles_and_what_people_say_of_themselves_are_followed() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=1))
        peer.roster((await peer.expect("members"))["ref"], 1, members=[RITA])
        fields = {"room": "lobby", "sender": 9, "name": "Rita", "change": "state"}
        peer.send("presence", **fields, state="away", away="lunch")
        peer.send("presence", **fields, state="away", away="lunch")
        peer.send("presence", **fields, state="away", away="tea")
        event = {"room": "lobby", "sender": ME, "name": "Radha", "at": 1}
        peer.send("event", **event, seq=2, kind="role", to="Rita", whom=9, text="operator")
        peer.send("event", **event, seq=3, kind="role", to="Radha", whom=ME, text="owner")
        peer.send("event", **event, seq=4, kind="topic", text="tea")
        peer.send("event", **event, seq=5, kind="private")
        peer.send("event", **event, seq=6, kind="hummed", of=3)
        await peer.answer_pings()

    async with radha(good) as (client, _):
        await client.members("lobby")
        events = await told(client)
        assert [one.away for one in events if isinstance(one, Presence)] == ["lunch", "tea"]
        assert [one.seq for one in events if isinstance(one, Event)] == [2, 3, 4, 5, 6]
        state = client.state("lobby")
        assert state is not None
        rita = state.members[0]
        assert (rita.role, rita.state, rita.away) == ("operator", "away", "tea")
        assert (state.role, state.title, state.private) == ("owner", "tea", True)


async def test_what_changed_in_people_while_one_was_behind_is_told_afterwards() -> None:
    async def good(peer: Peer) -> None:
        await greet(peer, room_state(head=1))
        peer.roster((await peer.expect("members"))["ref"], 1, members=[RITA])
        peer.send("behind", room="lobby", next=2, head=2, epoch=7)
        peer.page((await peer.expect("history"))["ref"], 2, 2, 2)
        other = {**RITA, "role": "operator", "away": "tea"}
        peer.roster((await peer.expect("members"))["ref"], 2, members=[other])
        await peer.answer_pings()

    async with radha(good) as (client, _):
        await client.members("lobby")
        presence = await next_of(client, Presence)
        assert (presence.change, presence.role, presence.away) == ("state", "operator", "tea")

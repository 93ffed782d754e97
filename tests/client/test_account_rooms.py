"""The rooms of an account: entered and left elsewhere, private, and read on several devices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

import hubbub
from hubbub.client import Client
from hubbub.frames import Event, Message, Presence
from tests.client.odd_server import Fields, OddServer, Peer, Script, serving

FAST = hubbub.Patience(
    connect_within=5, greet_within=3, answer_within=1, ask_within=5, bye_within=0.1
)
ME = 3
RITA: Fields = {"t": "person", "sender": 9, "name": "Rita"}


def room_state(room: str = "lobby", **fields: Any) -> Fields:
    """The part of a `welcome` that tells of a room."""
    return {"t": "roomstate", "room": room, **fields}


def direct(**fields: Any) -> Fields:
    """The conversation with Rita."""
    return room_state("@3:9", peer=RITA, **fields)


@contextlib.asynccontextmanager
async def radha(*scripts: Script) -> AsyncIterator[tuple[Client, OddServer]]:
    """Radha, who has an account, and the server that she is at."""
    async with (
        serving(*scripts) as server,
        hubbub.connect(server.address, device="device-1", patience=FAST) as client,
    ):
        yield client, server


async def greet(peer: Peer, *rooms: Fields, **fields: Any) -> Fields:
    """Welcome her in these rooms."""
    return await peer.greet(sender=ME, account=True, rooms=rooms, **fields)


async def next_of(client: Client, kind: type) -> Any:
    """The next event of a kind."""
    async with asyncio.timeout(10):
        async for event in client:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the client ended before {kind.__name__}")


async def told(client: Client) -> list[Any]:
    """All that is told up to now."""
    await client.ping()
    events = []
    while (event := client.event_nowait()) is not None:
        events.append(event)
    return events


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


# --- read marks -------------------------------------------------------------------------------


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


# --- told to oneself --------------------------------------------------------------------------


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


# --- conversations of two ---------------------------------------------------------------------


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


# --- other calls ------------------------------------------------------------------------------


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

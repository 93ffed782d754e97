"""How what happens looks to a person: lines, own lines on their way, who is typing."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, strategies as st

import hubbub
from hubbub.cli.conversation import Conversation
from hubbub.cli.marks import Marks
from hubbub.cli.pending import MOST, WIDEST, Pending
from hubbub.cli.people import TYPING_EVERY, TYPING_FOR, People
from hubbub.cli.render import Shown, line_of, roster_line, state_of, unread_line, unread_of
from hubbub.cli.tail import Printer
from hubbub.cli.transcript import Look
from hubbub.client_events import ClientEvent, Disconnected, RoomLost
from hubbub.errors import Code, Refused
from hubbub.frames import (
    Announcement,
    Event,
    Invited,
    Joined,
    Marked,
    Message,
    Parted,
    Person,
    Presence,
    RoomState,
    Roster,
    Typists,
)
from tests.client.odd_server import Peer, serving
from tests.client.test_cli_rules import HOSTILE, is_dead
from tests.support import eventually

KINDS = {
    "renamed": "* Bob is now Rob",
    "joined": "* Bob joined",
    "parted": "* Bob left the room",
    "topic": "* Bob set the topic: why",
    "private": "* Bob made the room private",
    "public": "* Bob opened the room to all",
    "invited": "* Bob invited Rob",
    "kicked": "* Bob put Rob out (why)",
    "banned": "* Bob banned Rob (why)",
    "unbanned": "* Bob let Rob in again",
    "muted": "* Bob muted Rob (why)",
    "unmuted": "* Bob let Rob write again",
    "role": "* Bob made Rob a why of the room",
    "edited": "* Bob edited #12: why",
    "deleted": "* Bob deleted #12 (why)",
    "reacted": "* Bob reacted to #12 with why",
    "unreacted": "* Bob took why back from #12",
    "closed": "* Bob closed the room (why)",
    "something new": "* Bob: something new",
}


def event(kind: str, text: str = "why", room: str = "den") -> Event:
    return Event(room, 20, kind, 1, "Bob", 1, to="Rob", whom=2, of=12, text=text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_is_a_line(kind: str) -> None:
    assert line_of(event(kind)) == KINDS[kind]


def test_every_kind_that_the_protocol_knows_has_its_line() -> None:
    rows = [line for line in (Event.__doc__ or "").splitlines() if line.strip().startswith("| `")]
    known = {word.strip("` ") for row in rows[1:] for word in row.split("|")[1].split(",")}
    assert len(known) > 15
    assert known <= set(KINDS)


def test_the_end_of_a_ban_and_a_missing_reason_are_told() -> None:
    until = Event("den", 1, "banned", 1, "Bob", 1, to="Rob", until=1_800_000_000_000)
    assert (line_of(until) or "").startswith("* Bob banned Rob until 2027-01-")
    assert line_of(event("topic", "")) == "* Bob took the topic away"
    assert line_of(event("role", "owner")) == "* Bob made Rob an owner of the room"
    assert line_of(event("deleted", "")) == "* Bob deleted #12"


def test_who_inherits_a_room_is_made_its_owner_by_nobody() -> None:
    """“When its last owner leaves, a room passes to its first operator, else …”"""
    inherited = Event("den", 1, "role", 1, "Bob", 1, to="Bob", whom=1, text="owner")
    assert line_of(inherited) == "* Bob is now an owner of the room"


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (Message("den", 1, 1, "Bob", "hi", 1), "Bob: hi"),
        (Message("den", 1, 1, "Bob", "waves", 1, action=True), "* Bob waves"),
        (Message("den", 9, 1, "Bob", "yes", 1, reply=7), "Bob: (to #7) yes"),
        (Message("den", 9, 1, "Bob", "", 1, deleted=10), "Bob: (deleted)"),
        (Presence("den", 1, "Bob", "entered"), "* Bob entered"),
        (Presence("den", 1, "Bob", "left", why="bye"), "* Bob left (bye)"),
        (Presence("den", 1, "Bob", "state", "away"), None),
        (Presence("den", 1, "Bob", "entered", why="joined"), None),
        (Presence("den", 1, "Bob", "left", why="kicked"), None),
        (Presence("@Bob", 1, "Bob", "left"), None),
        (Invited("den", "Bob"), "* Bob invites you to den; /join den accepts"),
        (Invited("den", "Bob", "deep"), "* Bob invites you to den (deep); /join den accepts"),
        (Announcement("soon down", "Ops", 1), "*** Ops to everybody: soon down"),
        (Joined("den"), "* You are in den now"),
        (Joined("@Bob"), None),
        (Parted("den"), "* You left den"),
        (Parted("den", "kicked", "Bob", "why"), "* You were put out of den by Bob (why)"),
        (Parted("den", "banned", "Bob"), "* You are banned from den by Bob"),
        (Parted("den", "closed"), "* You are no longer in den: closed"),
        (Marked("den", 5), None),
        (Typists("den", 1, "Bob"), None),
    ],
)
def test_what_else_happens(frame: ClientEvent, line: str | None) -> None:
    assert line_of(frame) == line


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_no_part_of_an_event_reaches_a_terminal_alive(kind: str, text: str) -> None:
    """“no text from one person reaches another's terminal with escape sequences alive”"""
    line = line_of(Event(text, 1, kind, 1, text, 1, to=text, of=1, text=text))
    assert line is not None
    assert is_dead(line)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_part_of_other_frames_does_either(text: str) -> None:
    person = Person(1, text, text, text, text)
    lines = [
        line_of(Invited(text, text, text)),
        line_of(Announcement(text, text, 1)),
        line_of(Parted(text, text, text, text)),
        line_of(Parted(text, "kicked", text, text)),
        line_of(Joined(text)),
        roster_line(Roster(1, text, 1, title=text, members=[person]), 2),
        roster_line(Roster(1, f"@{text}", 1, peer=person), 2),
    ]
    people = People()
    people.take_typing(Typists(text, 1, text), 0)
    lines.append(people.toolbar(text, None, 1))
    assert all(is_dead(line) for line in lines if line is not None)


def test_people_are_told_with_what_is_to_be_said_of_them() -> None:
    assert state_of(Person(1, "Bob")) == ""
    assert state_of(Person(1, "Bob", "away", "owner", "lunch")) == " (owner, away: lunch)"
    roster = Roster(
        1,
        "den",
        3,
        title="deep",
        members=[Person(3, "zoe", "busy"), Person(2, "Bob", "offline"), Person(1, "Me")],
    )
    assert roster_line(roster, 1) == "* You are in den: deep with zoe (busy), Bob (offline)"
    alone = Roster(1, "@Bob", 3, peer=Person(2, "Bob", "offline"))
    assert roster_line(alone, 1) == "* You are talking to Bob alone (offline)"


def test_unread_is_what_was_said_after_the_mark() -> None:
    state = RoomState("den", head=30, count=12, mark=20, marked=9, mentions=1)
    assert unread_of(state) == 3
    assert unread_line(state) == "3 unread, 1 of them to you"
    assert unread_of(RoomState("den", count=1, marked=2)) == 0


# --- own lines --------------------------------------------------------------------------------


def message(seq: int, text: str, room: str = "den") -> Message:
    return Message(room, seq, 1, "Me", text, 1)


def test_a_line_is_pending_until_its_message_is_shown() -> None:
    """“vanish when their numbered message is printed in its place”"""
    pending = Pending()
    line = pending.add("den", "hi", "Me: hi")
    assert pending.lines() == ["Me: hi"]
    pending.stored(line, 7)
    pending.shown("den", 6)
    assert pending.lines() == ["Me: hi"]
    pending.shown("den", 7, message(7, "hi"))
    assert pending.lines() == []


def test_a_message_may_be_shown_before_it_is_acknowledged() -> None:
    pending = Pending()
    first, second = pending.add("den", "hi", "Me: hi"), pending.add("den", "hi", "Me: hi again")
    pending.shown("den", 7, message(7, "hi"))
    assert pending.lines() == ["Me: hi again"]
    pending.stored(first, 7)
    pending.shown("DEN", 8, message(8, "hi"))
    pending.stored(second, 8)
    assert pending.lines() == []


def test_what_fails_or_will_not_be_shown_is_pending_no_more() -> None:
    pending = Pending()
    line = pending.add("den", "hi", "Me: hi")
    pending.drop(line)
    other = pending.add("den", "ho", "Me: ho")
    pending.stored(other, 9)
    pending.drop_room("den")
    assert len(pending) == 0


def test_what_is_pending_never_takes_the_whole_screen() -> None:
    pending = Pending()
    for number in range(20):
        pending.add("den", "x", f"{number} {'x' * 4000}")
    lines = pending.lines()
    assert len(lines) == MOST + 1
    assert lines[-1] == "(15 more)"
    assert max(map(len, lines)) <= WIDEST


@given(st.lists(st.sampled_from(["say", "store", "show"])), st.data())
def test_in_whatever_order_it_is_heard_nothing_stays_pending(
    steps: list[str], data: st.DataObject
) -> None:
    """Lines are stored and shown in their order; acknowledgement and message race."""
    pending = Pending()
    said, stored, shown = [], 0, 0
    for step in [*steps, *["store"] * len(steps), *["show"] * len(steps)]:
        if step == "say":
            text = data.draw(st.sampled_from("ab"))
            said.append((pending.add("den", text, text), text))
        elif step == "store" and stored < len(said):
            stored += 1
            pending.stored(said[stored - 1][0], stored)
        elif step == "show" and shown < len(said):
            shown += 1
            pending.shown("den", shown, message(shown, said[shown - 1][1]))
        assert len(pending) >= len(said) - max(stored, shown) - min(stored, shown)
        assert len(pending) <= len(said) - min(stored, shown)
    assert len(pending) == 0


# --- typing -----------------------------------------------------------------------------------


def test_somebody_is_typing_for_five_seconds_or_until_they_said_it() -> None:
    people = People()
    people.take_typing(Typists("den", 1, "Bob"), 100)
    assert people.toolbar("DEN", None, 100) == "Bob is typing"
    assert people.toolbar("lobby", None, 100) == ""
    assert people.toolbar("den", None, 100 + TYPING_FOR) == ""
    people.take_typing(Typists("den", 1, "Bob"), 200)
    people.take_typing(Typists("den", 2, "Ann"), 200)
    assert people.toolbar("den", None, 201) == "Ann and Bob are typing"
    people.take(Message("den", 1, 1, "Bob", "hi", 1), 201)
    assert people.toolbar("den", None, 201) == "Ann is typing"
    people.take_typing(Typists("den", 1, "Bob"), 201.1)  # it was overtaken by what was typed
    assert people.toolbar("den", None, 201.1) == "Ann is typing"
    people.take_typing(Typists("den", 1, "Bob"), 202)
    assert people.toolbar("den", None, 202) == "Ann and Bob are typing"
    for sender in range(3, 6):
        people.take_typing(Typists("den", sender, f"N{sender}"), 201)
    assert people.toolbar("den", None, 201) == "several people are typing"


def test_how_the_other_of_a_conversation_is_stands_below() -> None:
    """“presence of direct rooms is shown only as state of peer”"""
    people = People()
    assert people.toolbar("@Bob", Person(2, "Bob", "away", away="lunch"), 0) == "Bob is away: lunch"
    assert people.toolbar("@Bob", Person(2, "Bob", "offline"), 0) == "Bob is offline"
    assert people.toolbar("@Bob", Person(2, "Bob"), 0) == ""


def test_others_are_told_that_one_types_at_most_every_three_seconds() -> None:
    people = People()
    assert not people.tells_typing("den", "", 0)
    assert not people.tells_typing("den", "/join x", 0)
    assert not people.tells_typing("", "hi", 0)
    assert people.tells_typing("den", "h", 0)
    assert not people.tells_typing("den", "hi", TYPING_EVERY - 0.1)
    assert people.tells_typing("den", "hi y", TYPING_EVERY)
    assert people.tells_typing("lobby", "//h", TYPING_EVERY)


def test_names_for_tab_come_from_rosters_messages_and_peers() -> None:
    people = People()
    people.take(Message("den", 1, 9, "Eve", "hi", 1), 0)
    people.take(Presence("den", 5, "Zed", "entered"), 0)
    people.take(Message("den", 1, 1, "Bob", "hi", 1), 0)
    people.take(event("renamed"), 0)
    people.take_names(["Far", "ann"], ["lobby", "den"])
    known = people.known([Person(2, "Ann")], ["Den", "@Eve"])
    assert set(known.names) == {"Rob", "Eve", "Zed", "Far", "Ann"}
    assert set(known.rooms) == {"Den", "lobby", "@Eve"}


# --- tail -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [Parted("den", why="kicked", by="Rita"), RoomLost("den", "one was put out of it")],
)
def test_tail_follows_no_room_that_one_is_out_of(event: ClientEvent) -> None:
    printer = Printer(as_json=False, timestamps=False)
    printer.follow("DEN", 3)
    printer.take(RoomLost("other", "one was put out of it"))
    printer.take(Disconnected("no answer"))
    assert not printer.lost
    printer.take(event)
    assert printer.lost


# --- a room's past ----------------------------------------------------------------------------


class Paper:
    """A screen that keeps what it is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, line: Shown) -> None:
        self.lines.append(line.text)

    def tell(self, text: str) -> None:
        self.lines.append(f"! {text}")

    def ring(self) -> None: ...
    def redraw(self) -> None: ...
    def end(self) -> None: ...

    async def secret(self, what: str) -> str | None:
        return None


async def test_what_is_said_while_one_comes_stands_below_the_past_of_the_room() -> None:
    """“A person sits at a terminal and sees the last of a room”, also of one that is busy."""

    async def good(peer: Peer) -> None:
        lobby = {"t": "roomstate", "room": "lobby", "head": 2, "count": 2, "mark": 2, "marked": 2}
        await peer.greet(sender=3, account=True, rooms=[lobby])
        peer.message(3)
        peer.send("states", ref=(await peer.expect("unread"))["ref"], rooms=[lobby])
        peer.roster((await peer.expect("members"))["ref"], 3, count=3, mark=2, marked=2)
        peer.page((await peer.expect("history"))["ref"], 1, 3, 3)
        peer.message(4)
        await peer.gone()

    paper = Paper()
    async with (
        serving(good) as server,
        hubbub.connect(server.address, device="device-1") as client,
    ):
        talk = Conversation(client, Look(typed=True), paper)
        showing = asyncio.create_task(talk.print_events())
        await talk.begin(None)
        await eventually(lambda: "Rita: text 4" in paper.lines)
        showing.cancel()
    said = [line for line in paper.lines if not line.startswith("*")]
    assert said == [
        "Rita: text 1",
        "Rita: text 2",
        "--- new since you left ---",
        "Rita: text 3",
        "Rita: text 4",
    ]


# --- read marks -------------------------------------------------------------------------------


class Noting:
    """A client that notes how its marks move, and is refused one room."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, int]] = []

    async def read(self, room: str, seq: int) -> None:
        self.reads.append((room, seq))
        if room == "gone":
            raise Refused(Code.NOT_MEMBER, "join gone first")


async def test_marks_move_at_most_once_a_second_and_at_the_end() -> None:
    """“coalesced client.read, at most once a second and on quit”"""
    client = Noting()
    marks = Marks(client)  # type: ignore[arg-type]
    for room in ("gone", "den"):
        marks.catch_up(room)
        marks.shown(room, 1)
    running = asyncio.create_task(marks.run())
    await eventually(lambda: len(client.reads) == 2)
    for seq in range(2, 100):
        marks.shown("DEN", seq)
    assert client.reads == [("gone", 1), ("den", 1)]
    await marks.flush()
    assert client.reads[2:] == [("DEN", 99)]
    running.cancel()


async def test_a_room_whose_unread_was_not_shown_is_not_marked() -> None:
    client = Noting()
    marks = Marks(client)  # type: ignore[arg-type]
    marks.shown("den", 5)
    marks.catch_up("den")
    marks.shown("den", 6)
    marks.forget("den")
    await marks.flush()
    assert client.reads == []

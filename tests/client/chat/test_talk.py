"""What one types and is shown in `hubbub chat`: own lines, what one has missed, and what rings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from hubbub.client import Client
from hubbub.frames import Typists
from tests.chats import Someone
from tests.client.chat.desk import Desk
from tests.fixtures import ClusterFactory
from tests.support import eventually, passing, slack


async def test_a_line_is_pending_above_the_prompt_until_it_stands_in_its_place(
    make_cluster: ClusterFactory, tmp_path: Path
) -> None:
    """“own lines show pending, stored, failed (and are retried)”"""
    cluster = await make_cluster(gateways=1)
    desk = Desk(Someone(cluster, tmp_path))
    await desk.sit("--name", "Anna", prompt="lobby")
    desk.type("one")
    await desk.sees_below("Anna: one #1", "lobby>")
    cluster.gateways[0].freeze()
    desk.type("two")
    desk.type("/me waves")
    desk.terminal.type("being typed")
    await desk.sees_below("Anna: one #1", "Anna: two …", "* Anna waves …", "lobby> being typed")
    cluster.gateways[0].thaw()
    await desk.sees_below("Anna: one #1", "Anna: two #2", "* Anna waves #3", "lobby> being typed")
    cluster.gateways[0].kill()
    desk.type(", and said")
    await desk.sees_part("being typed, and said …")
    await cluster.restart(cluster.gateways[0])
    await desk.sees("Anna: being typed, and said #4")
    await desk.terminal.close()


async def test_a_line_that_fails_is_told_with_its_text_of_a_long_one_the_beginning(
    anna: Desk, ben: Client, room: str
) -> None:
    """“failed ones are printed as `! not sent (reason): text`”"""
    await ben.join(f"b{room}")  # a room of nobody: who made it is a guest
    anna.type(f"/join {room}2")
    await anna.sees_below(f"* You are in {room}2; nobody else is here", f"{room}2>")
    anna.type("x" * 4001)
    why = "a text has 1 to 4,000 characters, this one has 4,001"
    told = f"! not sent ({why}): {'x' * 60}…"
    await anna.sees_below(told[:90], told[90:], f"{room}2>")
    anna.type("/reply 99 to what?")
    await anna.sees("! not sent (there is no message 99): to what?")
    assert not any(row.endswith("…") for row in anna.rows if not told.endswith(row))


async def test_what_is_typed_for_a_room_goes_to_no_other_when_one_is_put_out_of_it(
    anna: Desk,
    ben: Client,
    room: str,
    someone: Callable[[str], Someone],
    desks: Callable[[Someone], Desk],
) -> None:
    await ben.join(f"{room}2")
    carl = await desks(someone("carl")).sit("--name", f"C{room}", "--room", room, prompt=room)
    carl.type(f"/join {room}2")
    await carl.sees_below(f"{room}2>")
    carl.type(f"/join {room}")
    await carl.sees_below(f"{room}>")
    carl.terminal.type("a secret of the first")
    await carl.sees_below(f"{room}> a secret of the first")
    anna.type(f"/kick C{room}")
    await carl.sees(f"* You were put out of {room} by A{room}")
    await carl.sees_below(
        "* You are talking in no room now; /join ROOM goes to one", "> a secret of the first"
    )
    carl.terminal.type("\r")
    await carl.sees("! you are talking in no room; /join ROOM goes to one")
    carl.type(f"/join {room}2")
    await carl.sees_below(f"{room}2>")
    carl.type("for all")
    async for message in ben.messages(f"{room}2"):
        assert message.text == "for all"
        break


async def test_who_wants_a_room_private_is_told_that_it_is_not(
    anna: Desk, ben: Client, room: str
) -> None:
    """“`private`: if the room is made by this, by invitation only.”"""
    await ben.join(f"b{room}")
    anna.type(f"/join b{room} private")
    await anna.sees(f"* b{room} was there already, and is open to all")


async def test_nothing_that_is_typed_is_echoed_between_the_prompts(
    anna: Desk, ben: Client, room: str
) -> None:
    """“Never tear the typed line.” Lines are typed faster than they are taken."""
    await ben.join(room)
    for number in range(30):
        anna.type(f"mine {number}")
        anna.type(f"/topic title {number}")
        ben.say_nowait(room, f"his {number}")
        assert not anna.terminal.echoes()
    await anna.sees(f"* A{room} set the topic: title 29")
    await anna.sees_below(f"{room}>")
    heads = (
        f"A{room}: mine",
        f"B{room}: his",
        f"* A{room} set",
        f"* A{room} joined",
        f"* B{room} entered",
        "* You ",
        f"{room}>",
    )
    assert [row for row in anna.rows if not row.startswith(heads)] == []


async def test_what_is_new_stands_below_a_line_and_is_read_once_it_was_shown(
    anna: Desk, ben: Client, room: str, desks: Callable[[Someone], Desk]
) -> None:
    """“a line "new since you left"”; “marks move as messages are shown on a terminal”"""
    await ben.join(room)
    await ben.say(room, "old")
    await anna.sees(f"B{room}: old #2")
    anna.type("/quit")
    assert await anna.ends() == 0
    assert await anna.someone.does("unread") == []
    for number in range(3):
        await ben.say(room, f"new {number}")
    assert (await anna.someone.does("unread"))[0].split() == [room, "3", "unread"]
    again = await desks(anna.someone).sit(prompt=room)
    at = again.rows.index("--- new since you left ---")
    assert again.rows[at - 1] == f"B{room}: old #2"
    assert again.rows[at + 1 : at + 4] == [f"B{room}: new {n} #{n + 3}" for n in range(3)]

    async def read() -> bool:
        return not await anna.someone.does("unread")

    await eventually(read, 20)
    await ben.say(room, "more")
    await again.sees(f"B{room}: more #6")
    again.terminal.type("\x04")
    assert await again.ends() == 0
    assert await anna.someone.does("unread") == []  # marked on the way out


async def test_a_pipe_reads_nothing_on_ones_behalf(anna: Desk, ben: Client, room: str) -> None:
    """“marks move … never in piped mode”"""
    anna.type("/quit")
    assert await anna.ends() == 0
    await ben.join(room)
    await ben.say(room, "for a person")
    lines = await anna.someone.does("chat", "--room", room, stdin="/history 5\n")
    assert f"B{room}: for a person" in lines
    assert len(await anna.someone.does("unread")) == 1


async def test_of_very_much_that_is_new_the_last_is_shown(
    anna: Desk, ben: Client, room: str, desks: Callable[[Someone], Desk]
) -> None:
    anna.type("/quit")
    assert await anna.ends() == 0
    await ben.join(room)
    await asyncio.gather(*(ben.say(room, f"new {number}") for number in range(150)))
    again = await desks(anna.someone).sit(prompt=room)
    await again.sees_part("50 more new entries are not shown; /history 150 shows them")
    assert f"B{room}: new 149 #151" in again.rows


async def test_a_mention_rings_the_bell_unless_it_is_off(
    anna: Desk, ben: Client, room: str
) -> None:
    """“mentions ring the bell (can be switched off)”"""
    await ben.join(room)
    await ben.say(room, "nobody in particular")
    await ben.say(room, f"you there, @a{room}?")
    await anna.sees_part("you there")
    assert anna.terminal.screen.bells == 1
    anna.type("/bell off")
    await anna.sees("* The bell is off")
    await ben.say(room, f"@a{room}!")
    await anna.sees_part(f"@a{room}!")
    assert anna.terminal.screen.bells == 1
    anna.type("/bell on")
    await anna.sees("* The bell is on")
    await ben.say(f"@A{room}", "psst")
    await anna.sees(f"[@B{room}] B{room}: psst #1")
    assert anna.terminal.screen.bells == 2


async def test_who_is_typing_stands_below_until_it_is_said(
    anna: Desk, ben: Client, room: str
) -> None:
    """“show `Bob is typing` in a bottom toolbar for 5 s”"""
    await ben.join(room)
    await anna.sees(f"* B{room} entered")
    await ben.typing(room)
    await anna.sees_below(f"B{room} is typing")  # at the bottom of the screen
    await ben.say(room, "done")
    await anna.sees_below(f"B{room}: done #2", f"{room}>")
    await passing(3)  # others are told at most every three seconds
    await ben.typing(room)
    await anna.sees_below(f"B{room} is typing")  # at the bottom of the screen
    await anna.sees_below(f"B{room}: done #2", f"{room}>")


async def test_others_are_told_that_one_types(anna: Desk, ben: Client, room: str) -> None:
    await ben.join(room)
    anna.terminal.type("/topic is no text")
    await anna.sees_below(f"{room}> /topic is no text")
    anna.terminal.type("\x03wor")
    await anna.sees_below(f"{room}> wor")
    async with asyncio.timeout(slack(10)):
        assert await next_typist(ben) == f"A{room}"


async def next_typist(client: Client) -> str:
    """The name of who is typing next; other events are dropped."""
    async for event in client:
        if isinstance(event, Typists):
            return event.name
    raise AssertionError("the client ended")


async def test_tab_completes_commands_names_and_rooms(anna: Desk, ben: Client, room: str) -> None:
    """“with Tab completion of names, rooms and commands”"""
    await ben.join(room)
    await anna.sees(f"* B{room} entered")
    anna.terminal.type("/inv\t")
    await anna.sees_below(f"{room}> /invite")
    anna.terminal.type(f"b{room[:-1]}\t")
    await anna.sees_below(f"{room}> /invite B{room}")
    anna.terminal.type(f"\x15ask @b{room}\t")
    await anna.sees_below(f"{room}> ask @B{room}")
    anna.terminal.type(f"\x15/leave {room[:-1]}\t")
    await anna.sees_below(f"{room}> /leave {room}")

"""`hubbub chat`, typed at a terminal and piped: every command, and what one sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

import hubbub
from hubbub.cli.commands import COMMANDS
from hubbub.client import Client
from hubbub.frames import Typists
from tests.chats import Someone
from tests.client.terminal import Terminal
from tests.fixtures import ClusterFactory
from tests.support import Cluster, eventually, passing, slack

SECRET = "correct horse"


class Desk:
    """Somebody at a terminal in `hubbub chat`."""

    def __init__(self, someone: Someone) -> None:
        self.someone = someone
        self.terminal = Terminal(columns=90, rows=60)

    async def sit(self, *flags: str, prompt: str) -> Desk:
        """Start it, and wait for the prompt."""
        argv, environ = self.someone.command("chat", *flags)
        await self.terminal.start(argv, environ)
        await self.terminal.shows(lambda rows: rows[-1:] == [f"{prompt}>"])
        return self

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        self.terminal.type(f"{line}\r")

    @property
    def rows(self) -> list[str]:
        """What is on the screen."""
        return self.terminal.screen.text()

    async def sees(self, row: str) -> None:
        """Wait until a row is this."""
        await self.terminal.shows(lambda rows: row in rows)

    async def sees_part(self, part: str) -> None:
        """Wait until a row has this in it."""
        await self.terminal.shows(lambda rows: any(part in row for row in rows))

    async def sees_below(self, *last: str) -> None:
        """Wait until the last rows are these."""
        await self.terminal.shows(lambda rows: rows[-len(last) :] == list(last))

    async def ends(self) -> int:
        """Wait until the program has ended."""
        async with asyncio.timeout(slack(20)):
            return await self.terminal.process.wait()


@pytest.fixture
def someone(shared: Cluster, tmp_path: Path) -> Callable[[str], Someone]:
    return lambda name: Someone(shared, tmp_path / name)


@pytest_asyncio.fixture
async def desks(shared: Cluster, tmp_path: Path) -> AsyncIterator[Callable[[Someone], Desk]]:
    made: list[Desk] = []

    def make(who: Someone) -> Desk:
        made.append(Desk(who))
        return made[-1]

    yield make
    for desk in made:
        await desk.terminal.close()


@pytest_asyncio.fixture
async def anna(
    someone: Callable[[str], Someone], desks: Callable[[Someone], Desk], room: str
) -> Desk:
    """Anna, who has an account, at her terminal in the room that she owns."""
    who = someone("anna")
    await who.does("register", f"A{room}", PASSWORD=SECRET)
    return await desks(who).sit("--room", room, prompt=room)


@pytest_asyncio.fixture
async def ben(shared: Cluster, room: str) -> AsyncIterator[Client]:
    """Ben, a guest, in no room yet."""
    async with hubbub.connect(shared.server(1), name=f"B{room}") as client:
        yield client


# --- own lines --------------------------------------------------------------------------------


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


async def test_a_line_that_fails_is_told_with_its_text(anna: Desk, ben: Client, room: str) -> None:
    """“failed ones are printed as `! not sent (reason): text`”"""
    await ben.join(f"b{room}")  # a room of nobody: who made it is a guest
    anna.type(f"/join {room}2")
    await anna.sees_below(f"* You are in {room}2; nobody else is here", f"{room}2>")
    anna.type("x" * 4001)
    await anna.sees_part("! not sent (a text has")
    anna.type("/reply 99 to what?")
    await anna.sees("! not sent (there is no message 99): to what?")
    assert not any(row.endswith("…") for row in anna.rows)


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


# --- what one has missed ----------------------------------------------------------------------


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


# --- attention --------------------------------------------------------------------------------


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


# --- accounts ---------------------------------------------------------------------------------


async def test_an_account_is_made_in_the_chat_and_its_password_seen_nowhere(
    someone: Callable[[str], Someone], desks: Callable[[Someone], Desk], room: str
) -> None:
    """“Passwords typed in chat never go to the history file or on screen.”"""
    who = someone("carl")
    carl = await desks(who).sit("--name", f"C{room}", "--room", room, prompt=room)
    carl.type("/register")
    await carl.sees_below(f"Password for C{room}:")
    carl.type(SECRET)
    await carl.sees_below("The same again:")
    carl.type(SECRET)
    await carl.sees(f"* C{room} is your account now")
    carl.type("/passwd")
    await carl.sees_below("Old password:")
    carl.type(SECRET)
    await carl.sees_below("New password:")
    carl.type("battery staple")
    await carl.sees_below("The same again:")
    carl.type("battery stable")
    await carl.sees("! nothing was done: the two are not the same")
    carl.type(f"/login C{room} battery staple")  # on the screen by one's own doing
    await carl.sees("! it is /login NAME")
    carl.type("still here")
    await carl.sees(f"C{room}: still here #1")
    carl.type("/logout")
    assert await carl.ends() == 0
    assert SECRET not in "\n".join(carl.rows)
    history = (who.home / "state" / "hubbub" / "chat-history").read_text()
    assert "still here" in history
    assert not any(word in history for word in (SECRET, "battery", "/register", "/passwd"))
    assert (await who.run("unread"))[0] == 77


async def test_a_pipe_takes_passwords_from_the_variables_that_the_subcommands_do(
    someone: Callable[[str], Someone], room: str
) -> None:
    """“HUBBUB_PASSWORD …, and HUBBUB_NEW_PASSWORD a new one, where there is an old one, too”"""
    who = someone("dora")
    new = {"PASSWORD": SECRET, "NEW_PASSWORD": "battery staple"}
    flags = ("--name", f"D{room}", "--room", room)
    lines = await who.does("chat", *flags, stdin="/register\n/passwd\n", **new)
    assert lines[0] == f"* D{room} is your account now"
    assert await who.does("passwd", PASSWORD="battery staple", NEW_PASSWORD=SECRET)


async def test_a_guest_goes_on_as_an_account(
    anna: Desk, someone: Callable[[str], Someone], desks: Callable[[Someone], Desk], room: str
) -> None:
    dora = await desks(someone("dora")).sit("--name", f"D{room}", "--room", room, prompt=room)
    dora.type(f"/login A{room}")
    await dora.sees_below(f"Password of A{room}:")
    dora.type("guessed")
    await dora.sees("! wrong name or password")
    dora.type(f"/login A{room}")
    await dora.sees_below(f"Password of A{room}:")
    dora.type(SECRET)
    await dora.sees(f"* You are A{room} now")
    dora.type("from another device")
    await anna.sees_part(f"A{room}: from another device")
    assert len(await anna.someone.does("devices")) == 2
    dora.type("/quit")
    assert await dora.ends() == 0
    assert await dora.someone.does("devices")  # it stays logged in


async def test_who_is_shut_out_is_told_why_and_leaves_the_terminal_whole(
    anna: Desk, someone: Callable[[str], Someone], room: str
) -> None:
    boss = someone("boss")
    await boss.does("register", f"Z{room}", PASSWORD=SECRET)
    await boss.does("operator", "add", f"Z{room}", "--data", str(boss.cluster.data))
    await boss.does("operator", "suspend", f"A{room}", "--reason", "so it is")
    assert await anna.ends() == 77
    await anna.sees("hubbub: this account is suspended: so it is")
    assert f"{room}>" not in anna.rows


# --- the commands -----------------------------------------------------------------------------


async def test_every_command_does_what_help_says(anna: Desk, ben: Client, room: str) -> None:
    """“All commands at least once.” Anna types; Ben is a guest who is there."""
    one, other, den = f"A{room}", f"B{room}", f"d{room}"
    await ben.join(room)
    await ben.say(room, "first")
    await anna.sees(f"{other}: first #2")
    script = [
        ("/me waves", f"* {one} waves #3"),
        ("/reply 2 indeed", f"{one}: (to #2) indeed #4"),
        ("/react 2 👍", f"* {one} reacted to #2 with 👍"),
        ("/unreact 2 👍", f"* {one} took 👍 back from #2"),
        ("/edit in deed", f"* {one} edited #4: in deed"),
        ("/edit #3 nods", f"* {one} edited #3: nods"),
        ("/delete", f"* {one} deleted #4"),
        ("/delete 2", f"* {one} deleted #2"),
        ("/history 9", f"{other}: (deleted) #2"),
        ("/topic All of it", f"* {one} set the topic: All of it"),
        ("/topic", f"* {room}: All of it"),
        ("/private", f"* {one} made the room private"),
        ("/public", f"* {one} opened the room to all"),
        (f"/role {other} operator", None),
        ("/who", f"* In {room}: {one} (owner), {other}"),
        (f"/rooms {room}", f"* {room}: 2 here, "),
        (f"/mute {other} for 10m noise", f"* {one} muted {other} until "),
        ("/bans", f"* {other}: muted by {one} until "),
        (f"/unmute {other}", f"* {one} let {other} write again"),
        (f"/kick {other} go", f"* {one} put {other} out (go)"),
        (f"/ban {other} for 2h gone", f"* {one} banned {other} until "),
        (f"/unban {other}", f"* {one} let {other} in again"),
        (f"/invite {other}", f"* {one} invited {other}"),
        (f"/join {den} private", f"* You are in {den}; nobody else is here"),
        ("over here", f"{one}: over here #2"),
        (f"/msg {other} hello", f"[@{other}] {one}: hello #1"),
        (f"/msg {other}", f"* You are talking to {other} alone"),
        ("only you", f"{one}: only you #2"),
        (f"/leave {den}", f"* You left {den}"),
        (f"/join {room}", f"* You are in {room}: All of it"),
        ("/search deed from:nobody", "! "),
        ("/search nothing_like_it", "* Nothing was found"),
        ("/unread", "* You have read everything"),
        ("/mark", f"* {room} is marked as read"),
        ("/away lunch", "* You are away: lunch"),
        ("/busy", "* You are busy"),
        ("/back", "* You are here"),
        (f"/block {other}", f"* You are shown nothing of {other}"),
        (f"/unblock {other}", f"* You are shown again what is said by {other}"),
        ("/announce hi", "! that takes an operator of the cluster"),
        ("/numbers off", "* Numbers are off"),
        ("unnumbered", f"{one}: unnumbered"),
        ("/numbers on", "* Numbers are on"),
        ("/bell", "* The bell is on"),
        (f"/nick N{room}", f"* {one} is now N{room}"),
        ("//slash", f"N{room}: /slash"),
        ("/help kick", "/kick NAME [REASON]  put somebody out"),
        ("/help", "//TEXT"),
    ]
    for typed, shown in script:
        anna.type(typed)
        if shown is not None:
            await anna.sees_part(shown)
    elsewhere = {"register", "login", "logout", "passwd", "quit"}  # in the tests above
    tried = {line.split()[0].removeprefix("/") for line, _ in script if line[0] == "/"}
    assert tried | elsewhere >= set(COMMANDS)


async def test_who_is_blocked_is_not_shown(anna: Desk, ben: Client, room: str) -> None:
    """“Lines of blocked persons are not shown.”"""
    await ben.join(room)
    await anna.sees(f"* B{room} entered")
    anna.type(f"/block B{room}")
    await anna.sees(f"* You are shown nothing of B{room}")
    await ben.say(room, "unheard")
    with pytest.raises(hubbub.Refused):
        await ben.say(f"@A{room}", "unheard, too")
    anna.type(f"/unblock B{room}")
    await anna.sees_part("You are shown again")
    await ben.say(room, "heard")
    await anna.sees(f"B{room}: heard #3")
    assert not any("unheard" in row for row in anna.rows)


async def test_commands_from_a_pipe_are_shown_in_their_place(
    someone: Callable[[str], Someone], ben: Client, room: str
) -> None:
    """“keep piped output format `Name: text` exactly as today”"""
    who, one, other = someone("anna"), f"A{room}", f"B{room}"
    await who.does("register", one, PASSWORD=SECRET)
    script = [
        "one",
        "/edit two",
        "/react 2 +1",
        "/reply 2 three",
        f"/msg {other} alone",
        "/kick nobody",
        "/topic last",
    ]
    code, lines, errors = await who.run("chat", "--room", room, stdin="\n".join(script))
    assert code == 77
    assert errors.startswith("hubbub: line 6: ")
    here = [line for line in lines if not line.startswith("[@")]
    assert here == [
        f"{one}: one",
        f"* {one} edited #2: two",
        f"* {one} reacted to #2 with +1",
        f"{one}: (to #2) three",
        f"* {one} set the topic: last",
    ]
    assert [line for line in lines if line not in here] == [f"[@{other}] {one}: alone"]

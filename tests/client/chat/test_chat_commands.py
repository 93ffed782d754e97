"""Every command of `hubbub chat`, typed at a terminal and piped, and accounts in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import hubbub
from hubbub.cli.commands import COMMANDS
from hubbub.client import Client
from tests.chats import Someone
from tests.client.chat.desk import SECRET, Desk


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


async def test_who_is_logged_out_elsewhere_is_told_that_the_session_is_over(
    anna: Desk, someone: Callable[[str], Someone], room: str
) -> None:
    """It said that it tries again, and ended."""
    other = someone("elsewhere")
    await other.does("login", f"A{room}", PASSWORD=SECRET)
    await other.does("passwd", PASSWORD=SECRET, NEW_PASSWORD="battery staple")
    assert await anna.ends() == 77
    await anna.sees("! the session is over (the password was changed; log in again)")
    assert not any("trying again" in row for row in anna.rows)


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


async def test_what_a_command_does_not_change_is_told_so(
    someone: Callable[[str], Someone], ben: Client, room: str
) -> None:
    who, one, other = someone("anna"), f"A{room}", f"B{room}"
    await who.does("register", one, PASSWORD=SECRET)
    again = [
        "/react 2 +1",
        f"/invite {other}",
        "/topic Tea",
        "/private",
        f"/role {one} owner",
    ]
    lines = ["one", *(line for command in again for line in (command, command))]
    shown = await who.does("chat", "--room", room, stdin="\n".join(lines))
    assert shown.count("* That changes nothing: it is so already") == len(again) + 1

"""`hubbub chat` as somebody at a terminal sees it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

import hubbub
from hubbub.client import Client
from tests.client.terminal import Terminal
from tests.support import Cluster, slack


async def sit_down(cluster: Cluster, room: str, state: Path, *flags: str) -> Terminal:
    """Radha at her terminal, in the room."""
    terminal = Terminal()
    argv, environ = cluster.command("chat", "--name", "Radha", "--room", room, *flags)
    homes = {"XDG_STATE_HOME": str(state), "XDG_DATA_HOME": str(state)}
    await terminal.start(argv, {**environ, **homes})
    await terminal.shows(lambda rows: rows[-1:] == [f"{room}>"])
    return terminal


@pytest_asyncio.fixture
async def radha(shared: Cluster, room: str, tmp_path: Path) -> AsyncIterator[Terminal]:
    terminal = await sit_down(shared, room, tmp_path)
    yield terminal
    await terminal.close()


@pytest_asyncio.fixture
async def rita(shared: Cluster, room: str) -> AsyncIterator[Client]:
    async with hubbub.connect(shared.server(1), name="Rita") as client:
        await client.join(room)
        yield client


async def ends(terminal: Terminal) -> int:
    async with asyncio.timeout(slack(10)):
        return await terminal.process.wait()


async def test_what_others_say_never_tears_the_line_being_typed(
    radha: Terminal, rita: Client, room: str
) -> None:
    """“A line editor that incoming messages never tear.”"""
    await radha.shows(lambda rows: rows[-2:] == ["* Rita entered", f"{room}>"])
    radha.type("I will be")
    await radha.shows(lambda rows: rows[-1] == f"{room}> I will be")
    long = "x" * 150
    for text in ("hi friends!", long, "\x1b[2J\x1b[Hgone?"):
        await rita.say(room, text)
    await radha.shows(lambda rows: "Rita: \\x1b[2J\\x1b[Hgone? #3" in rows)
    radha.type(" at 6")
    await radha.shows(lambda rows: rows[-1] == f"{room}> I will be at 6")
    assert radha.screen.text() == [
        "* You are Radha; /help lists the commands",
        f"* You are in {room}; nobody else is here",
        "* Rita entered",
        "Rita: hi friends! #1",
        f"Rita: {long}"[:60],
        f"Rita: {long}"[60:120],
        f"Rita: {long} #2"[120:],
        "Rita: \\x1b[2J\\x1b[Hgone? #3",
        f"{room}> I will be at 6",
    ]
    radha.type("\r")
    await radha.shows(lambda rows: rows[-2:] == ["Radha: I will be at 6 #4", f"{room}>"])
    assert f"{room}> I will be at 6" not in radha.screen.text()  # it is shown once
    radha.type("\x04")
    assert await ends(radha) == 0


async def test_own_lines_come_back_with_the_arrow_key_also_next_time(
    radha: Terminal, shared: Cluster, room: str, tmp_path: Path
) -> None:
    radha.type("one\rtwo\r")
    await radha.shows(lambda rows: rows[-2:] == ["Radha: two #2", f"{room}>"])
    radha.type("\x1b[A\x1b[A")
    await radha.shows(lambda rows: rows[-1] == f"{room}> one")
    radha.type("\x03")  # wipes the line
    await radha.shows(lambda rows: rows[-1] == f"{room}>")
    radha.type("\x03")  # leaves
    assert await ends(radha) == 0
    history = tmp_path / "hubbub" / "chat-history"
    assert history.stat().st_mode & 0o777 == 0o600
    again = await sit_down(shared, room, tmp_path)
    assert "Radha: two #2" in again.screen.text()  # the room's past
    again.type("\x1b[A")
    await again.shows(lambda rows: rows[-1] == f"{room}> two")
    again.type("\x03\x04")
    assert await ends(again) == 0
    await again.close()


async def test_who_wants_no_history_leaves_none(shared: Cluster, room: str, tmp_path: Path) -> None:
    radha = await sit_down(shared, room, tmp_path, "--no-history")
    radha.type("one\rtwo\r")
    await radha.shows(lambda rows: rows[-2:] == ["Radha: two #2", f"{room}>"])
    radha.type("\x1b[A\x1b[A")
    await radha.shows(lambda rows: rows[-1] == f"{room}> one")
    radha.type("\x03\x04")
    assert await ends(radha) == 0
    await radha.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_what_is_wrong_is_told_and_the_prompt_names_the_room(
    radha: Terminal, room: str
) -> None:
    radha.type("/jion den\r")
    await radha.shows(lambda rows: any(row.startswith("! unknown command /jion") for row in rows))
    radha.type(f"/join den{room}\r")
    await radha.shows(lambda rows: rows[-1] == f"den{room}>")
    radha.type("hello\r")
    await radha.shows(lambda rows: rows[-2:] == ["Radha: hello #1", f"den{room}>"])
    radha.type("/leave\r")
    await radha.shows(lambda rows: rows[-1] == f"{room}>")
    radha.type("\x04")
    assert await ends(radha) == 0


async def test_ctrl_z_gives_the_shell_back_and_fg_the_line_that_was_being_typed(
    shared: Cluster, room: str, tmp_path: Path
) -> None:
    """It was taken as text, and what was typed for the shell was said to everybody in the room."""
    terminal = Terminal()
    argv, environ = shared.command("chat", "--name", "Radha", "--room", room)
    homes = {"XDG_STATE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    # A shell that leads its terminal, as only such a one can stop and go on.
    shell = ["sh", "-c", ': <"$(tty)"; exec sh -i']
    await terminal.start(shell, {**environ, **homes, "PS1": "$ ", "CHAT": shlex.join(argv)})
    await terminal.shows(lambda rows: rows[-1:] == ["$"])
    terminal.type("$CHAT\r")
    await terminal.shows(lambda rows: rows[-1] == f"{room}>")
    terminal.type("half")
    await terminal.shows(lambda rows: rows[-1] == f"{room}> half")
    terminal.type("\x1a")
    await terminal.shows(lambda rows: rows[-1] == "$")
    terminal.type("echo in the $0\r")
    await terminal.shows(lambda rows: rows[-2:] == ["in the sh", "$"])
    terminal.type("fg\r")
    await terminal.shows(lambda rows: rows[-1] == f"{room}> half")
    terminal.type(" a line\r")
    await terminal.shows(lambda rows: rows[-2:] == ["Radha: half a line #1", f"{room}>"])
    terminal.type("\x04")
    await terminal.shows(lambda rows: rows[-1] == "$")
    terminal.type("exit\r")
    assert await ends(terminal) == 0
    await terminal.close()


async def test_no_control_character_gets_into_the_line(radha: Terminal, room: str) -> None:
    radha.type("a\x11\x02b\x1c\x1d\x1ec\x1b[200~\x1b[2J\x9bd\te\x1b[201~\r")
    await radha.shows(lambda rows: rows[-2:] == ["Radha: bc[2Jd\\tea #1", f"{room}>"])


async def test_a_dumb_terminal_is_written_plain_lines_and_no_escape_sequence(
    shared: Cluster, room: str, tmp_path: Path
) -> None:
    terminal, name, secret = Terminal(kind="dumb"), f"D{room}", "correct horse"
    argv, environ = shared.command("chat", "--name", name, "--room", room)
    homes = {"XDG_STATE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    await terminal.start(argv, {**environ, **homes})
    await terminal.shows(lambda rows: rows[-1:] == [f"* You are in {room}; nobody else is here"])
    terminal.type("hello\r")
    await terminal.shows(lambda rows: rows[-1] == f"{name}: hello #1")
    terminal.type("/jion den\r")
    await terminal.shows(lambda rows: rows[-2].startswith("! unknown command /jion"))
    terminal.type("/register\r")
    for question in (f"Password for {name}:", "The same again:"):
        await terminal.shows(lambda rows, row=question: rows[-1] == row)  # type: ignore[misc]
        assert not terminal.echoes()
        terminal.type(f"{secret}\r")
    await terminal.shows(lambda rows: rows[-1] == f"* {name} is your account now")
    assert terminal.echoes()
    terminal.type("/quit\r")
    assert await ends(terminal) == 0
    rows = terminal.screen.text()
    assert rows[:4] == [
        f"* You are {name}; /help lists the commands",
        f"* You are in {room}; nobody else is here",
        "hello",
        f"{name}: hello #1",
    ]
    assert not any(secret in row for row in rows)
    assert terminal.escapes == 0
    await terminal.close()


async def test_a_lost_gateway_is_told_and_what_was_typed_meanwhile_is_said_later(
    cluster: Cluster, tmp_path: Path
) -> None:
    radha = await sit_down(cluster, "lobby", tmp_path)
    cluster.gateways[0].kill()
    await radha.shows(lambda rows: any(row.startswith("! connection lost") for row in rows))
    radha.type("still here\r")
    await cluster.restart(cluster.gateways[0])
    await radha.shows(lambda rows: "! connected again" in rows and "Radha: still here #1" in rows)
    await radha.close()

"""More than two hundred hostile texts, said to somebody who sits at a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import pytest_asyncio

import hubbub
from hubbub.client import Client
from hubbub.errors import Refused
from hubbub.frames.base import MAX_REASON, MAX_TITLE
from hubbub.visible import visible
from tests.chats import TypedChat
from tests.hostile import HOSTILE, dangers
from tests.support import Cluster

# All that the line editor writes: to move, to clear, to colour, and a few modes. No titles, no
# questions, no strings, nothing of eight bits.
WRITTEN = re.compile(
    r"\x1b\[(?:[0-9]*[ABCDGJK]|[0-9;]*[Hm]|\?(?:1|7|12|25|2004)[hl])|\x1b[=>]|[\r\n\b]"
)
# Of that, what it writes at any time, as its own line needs it.
MOVES = re.compile(r"(?:\x1b\[[0-9]*[ABCD]|\x1b\[0?[JK]|[\r\n\b])+")
# Half a character cannot be sent: MessagePack has none.
SENDABLE = [text for text in HOSTILE if not re.search("[\ud800-\udfff]", text)]


class Reader(TypedChat):
    """Somebody at a terminal, of which is kept what the line editor writes in peace."""

    def __init__(self, cluster: Cluster, room: str) -> None:
        super().__init__(cluster, f"Radha{room[-5:]}", 1)
        self.peace = b""

    async def looks_on(self, room: str, client: Client) -> None:
        """Be in a room, and be shown by somebody what hostile texts are to look like."""
        await self.shows(f"You are {self.name}")
        self.type(f"/join {room}")
        await self.shows(f"You are in {room}")
        for line in ("/who", "/rooms", "/history 20", "a line of more than one row " * 6):
            self.type(line)
        await say_all(client, room, map(visible, SENDABLE))
        await client.say(room, "peace is over")
        await self.shows("peace is over", within=30)
        self.peace = self.stream

    def powers(self) -> list[str]:
        """What was written since then that the line editor would not have; and which texts."""
        stream = self.stream[len(self.peace) :]
        found = dangers(WRITTEN.sub("", stream.decode()))
        found += sorted(_sequences(stream) - _sequences(self.peace))
        alive = [
            text
            for text in SENDABLE
            if re.search("[\x00-\x1f\x7f-\x9f]", text) and not MOVES.fullmatch(text)
        ]
        return found + [
            text for text in alive if text.encode() in stream and text.encode() not in self.peace
        ]


def _sequences(stream: bytes) -> set[str]:
    return {each for each in WRITTEN.findall(stream.decode()) if not MOVES.fullmatch(each)}


@pytest_asyncio.fixture
async def mallory(shared: Cluster, room: str) -> AsyncIterator[Client]:
    """Owns nothing, and says what he likes."""
    async with hubbub.connect(shared.server(2), name=f"Mallory{room[-5:]}") as client:
        await client.join(room)
        yield client


@pytest_asyncio.fixture
async def radha(shared: Cluster, room: str, mallory: Client) -> AsyncIterator[Reader]:
    """Radha at her terminal, in the room."""
    chat = Reader(shared, room)
    await chat.looks_on(room, mallory)
    yield chat
    chat.kill()


async def test_what_is_said_is_shown_and_has_no_power(
    radha: Reader, mallory: Client, room: str
) -> None:
    """“Control characters and escape sequences from others are made visible, never obeyed.”"""
    await say_all(mallory, room, SENDABLE)
    await mallory.say(room, "that was all")
    await radha.shows("that was all", within=30)
    screen = radha.screen()
    assert [text for text in SENDABLE if f"{mallory.name}: {visible(text)}" not in screen] == []
    assert [text for text in SENDABLE if f"* {mallory.name} {visible(text)}" not in screen] == []
    assert radha.powers() == []


async def test_what_is_changed_is_shown_and_has_no_power(
    radha: Reader, mallory: Client, room: str
) -> None:
    """Edits, reasons, reactions, away texts: every text of another's that a terminal is shown."""
    seq = (await mallory.say(room, "first")).seq
    doomed = await asyncio.gather(*(mallory.say(room, "to be deleted") for _ in SENDABLE))
    changes: list[Awaitable[object]] = []
    for text, said in zip(SENDABLE, doomed, strict=True):
        changes += [
            mallory.edit(room, seq, text),
            unless_refused(mallory.react, room, seq, text[:32]),
            mallory.away("busy", text[:MAX_REASON]),
            mallory.delete(room, said.seq, text[:MAX_REASON]),
        ]
    await asyncio.gather(*changes)
    await mallory.say(room, "that was all")
    await radha.shows("that was all", within=30)
    radha.type("/who")
    radha.type("/history 20")
    radha.type("the end")
    await radha.shows(f"{radha.name}: the end")
    assert radha.powers() == []


async def test_titles_reasons_and_goodbyes_have_no_power(
    radha: Reader, shared: Cluster, mallory: Client, room: str
) -> None:
    """“200 hostile strings (ANSI, OSC 8/52, bidi, combining floods) shown harmlessly”"""
    own = f"{room}-of-eve"
    async with hubbub.connect(shared.server(2), name="Eve", agent="\x1b]0;x\x07\u202e") as eve:
        await eve.register("correct horse battery")
        await eve.join(own)
        radha.type(f"/join {own}")
        await radha.shows(f"You are in {own}")
        await asyncio.gather(*(eve.topic(own, text[:MAX_TITLE]) for text in SENDABLE))
        for text in SENDABLE[::4]:
            await eve.mute(own, radha.name, text[:MAX_REASON])
            await mallory.join(own)
            await eve.kick(own, mallory.name, text[:MAX_REASON])
        await eve.mute(own, radha.name, on=False)
        await eve.kick(own, radha.name, "\x1b]52;c;AAAA\x07\u202e")
        radha.type("/rooms")
        radha.type(f"/join {own}")
        await radha.shows(f"You are in {own}")
        await eve.say(own, "that was all")
        await radha.shows("that was all", within=30)
        radha.type(f"/invite {mallory.name}")
        radha.type("the end")
        await radha.shows(f"{radha.name}: the end")
    assert radha.powers() == []


async def test_what_goes_into_a_pipe_or_a_file_is_as_harmless(
    shared: Cluster, mallory: Client, room: str
) -> None:
    """`hubbub tail` is looked at in a terminal as often as it is read by a program."""
    await asyncio.gather(*(mallory.say(room, text) for text in SENDABLE))
    await mallory.say(room, "that was all")
    argv, environ = shared.command("tail", room, "-n", "400", "--no-follow", gateway=1)
    done = subprocess.run(argv, env=environ, capture_output=True, check=True, timeout=60)
    lines = done.stdout.decode().splitlines()
    assert lines[-1].endswith("that was all")
    assert [line for line in lines if dangers(line)] == []
    assert len(lines) >= len(SENDABLE)


async def say_all(client: Client, room: str, texts: Iterable[str]) -> None:
    """Say each text twice, in their order and without waiting for one to say the next."""
    pairs = ((text, action) for text in texts for action in (False, True))
    await asyncio.gather(*(client.say(room, text, action=action) for text, action in pairs))


async def unless_refused(ask: Callable[..., Awaitable[object]], *arguments: object) -> None:
    """Ask for what the server may find too hostile itself."""
    with contextlib.suppress(Refused):
        await ask(*arguments)


def test_no_line_of_a_log_has_power(shared: Cluster) -> None:
    """The last one of the module: what the tests above have done is in these logs."""
    for process in shared.processes:
        for line in process.output().split("\n"):
            assert dangers(line) == [], process.name

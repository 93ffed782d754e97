"""`hubbub chat`: on a terminal with a line editor, otherwise from a pipe or a file."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TextIO

from hubbub.cli import common, identity
from hubbub.cli.commands import asks_secret
from hubbub.cli.conversation import Conversation
from hubbub.cli.input import lines_of
from hubbub.cli.plain import PlainTerminal, is_plain
from hubbub.cli.render import Shown, visible
from hubbub.cli.transcript import Look
from hubbub.client import Client
from hubbub.errors import HubbubError

TELL_AFTER = 1.5  # seconds without a connection before that is told
KNOWN_FOR = 30.0  # seconds until people and rooms are asked for anew, for the Tab key
MANUAL = """\
On a terminal you type, and what others say appears above your line; /help lists the commands, Tab
completes names, rooms and commands. Your own lines stand dimmed above it until they are stored. The
number behind a message is its name for /reply, /react, /edit and /delete. Lines from rooms other
than the current one begin with [room] or [@name]. When a message names you (@NAME), or somebody
writes to you alone, the bell rings. Ctrl-Z stops the program as it stops others, and `fg` brings it
back with what you were typing. On a terminal that obeys no escape sequences (TERM=dumb) there are
plain lines, no prompt and no Tab. What you type, to one person alone too, but no password, is kept
for the arrow keys in $XDG_STATE_HOME/hubbub/chat-history (default ~/.local/state), readable by you
alone; --no-history does without it, and you may delete the file.
From a pipe, or with --input, each line is sent in order once the room is joined; your own lines are
printed in their place among the others'; at the end of input it leaves once all are stored.
Empty lines are skipped. A line over 4,000 characters, or with bytes that are no UTF-8, is an error;
the others are still sent. The exit code is that of the first error. Nothing of a room's past is
printed unless /history asks for it. Room names may be written with a leading "#". With more than
one room joined, lines begin with [room]; those of conversations of two with [@name]. /register,
/login and /passwd take the passwords from HUBBUB_PASSWORD and HUBBUB_NEW_PASSWORD.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = MANUAL
    common.add_connection(parser)
    identity.add_identity(parser)
    parser.add_argument(
        "--room", help="the room to join (default: lobby, or a room that the account is in)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--timestamps", action="store_true", help="begin lines with their time")
    parser.add_argument("--no-bell", action="store_true", help="do not ring; /bell on does again")
    parser.add_argument("--no-history", action="store_true", help="keep nothing of what is typed")
    parser.add_argument(
        "--input", metavar="FILE", help="read lines from FILE, or - (standard input)"
    )


def run(args: argparse.Namespace) -> int:
    """Talk."""
    typed = args.input is None and _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    descriptor = 0
    if args.input in (None, "-"):
        if common.stdin_is_closed():
            return common.NO_INPUT
    else:
        try:
            descriptor = os.open(args.input, os.O_RDONLY)
        except OSError as error:
            common.complain(f"{args.input}: {error.strerror}")
            return common.NO_INPUT
    return common.run(lambda: _chat(args, descriptor, typed=typed))


async def _chat(args: argparse.Namespace, descriptor: int, *, typed: bool) -> int:
    look = Look(json=args.json, timestamps=args.timestamps, typed=typed, bell=not args.no_bell)
    room = common.room_of(args.room) if args.room else None
    loop = asyncio.get_running_loop()
    late = loop.call_later(TELL_AFTER, common.complain, "connecting ...")
    try:
        async with identity.connected(args, agent="hubbub chat") as client:
            late.cancel()
            if typed and is_plain():
                await _at_plain_terminal(client, look, room, identity.servers(args))
                return common.OK
            if typed:
                servers, history = identity.servers(args), not args.no_history
                await _at_terminal(client, look, room, servers, history=history)
                return common.OK
            talk = Conversation(client, look, Piped(), identity.servers(args))
            await _together(talk, _from_pipe(talk, room, lines_of(descriptor)))
            return talk.exit_code
    finally:
        late.cancel()


async def _together(talk: Conversation, *works: Coroutine[Any, Any, None]) -> None:
    """Show what happens while `works` are done; the end of the first is the end of all."""
    all_works = (talk.print_events(), talk.marks.run(), *works)
    tasks = [
        asyncio.create_task(work, name=f"hubbub chat {at}") for at, work in enumerate(all_works)
    ]
    try:
        await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
        talk.screen.end()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


# --- from a pipe ------------------------------------------------------------------------------


class Piped:
    """The screen of a conversation that a program leads: lines on standard output and error."""

    def show(self, line: Shown) -> None:
        """One line of the conversation."""
        print(line.text, flush=True)

    def tell(self, text: str) -> None:
        """One line about it."""
        common.complain(text)

    def ring(self) -> None:
        """Programs hear no bell."""

    def redraw(self) -> None:
        """Nothing is drawn."""

    def end(self) -> None:
        """What is read ends by itself."""

    async def secret(self, what: str) -> str | None:
        """From the environment."""
        new = what.startswith("New") and "HUBBUB_NEW_PASSWORD" in os.environ
        return os.environ.get("HUBBUB_NEW_PASSWORD" if new else "HUBBUB_PASSWORD")


async def _from_pipe(talk: Conversation, room: str | None, lines: AsyncIterator[str]) -> None:
    await talk.begin(room)
    async for line in lines:
        await talk.take_line(line)
        if talk.over.is_set():
            return
    await talk.leave_all()


# --- at a terminal ----------------------------------------------------------------------------


async def _at_terminal(
    client: Client, look: Look, room: str | None, servers: list[str], *, history: bool
) -> None:
    from hubbub.cli.line_editor import LineEditor

    editor = LineEditor(history=history)
    talk = Conversation(client, look, editor, servers)
    waiting: asyncio.Queue[str] = asyncio.Queue()
    asides = Asides(talk)
    try:
        async with editor:
            editor.attend(talk, typed=asides.typed, tab=asides.tab)
            talk.note(f"* You are {visible(client.name)}; /help lists the commands")
            await _together(talk, _typed(talk, room, editor.lines(), waiting), _work(talk, waiting))
    finally:
        await asides.stop()


async def _at_plain_terminal(
    client: Client, look: Look, room: str | None, servers: list[str]
) -> None:
    lines = lines_of(0)
    talk = Conversation(client, look, PlainTerminal(0, lines), servers)
    talk.note(f"* You are {visible(client.name)}; /help lists the commands")
    await _together(talk, _from_pipe(talk, room, lines))


async def _typed(
    talk: Conversation, room: str | None, lines: AsyncIterator[str], waiting: asyncio.Queue[str]
) -> None:
    """Take lines while earlier ones are still being carried out: the prompt never waits."""
    await talk.begin(room)
    async for line in lines:
        waiting.put_nowait(line)
        if asks_secret(line):
            await waiting.join()  # the password is asked for in the place of the prompt
    await waiting.join()
    await talk.leave_all()


async def _work(talk: Conversation, waiting: asyncio.Queue[str]) -> None:
    while True:
        line = await waiting.get()
        try:
            await talk.take_line(line)
        finally:
            waiting.task_done()


class Asides:
    """What is asked beside the conversation, so that nobody waits for it, nor is told it failed."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._tasks: set[asyncio.Task[None]] = set()
        self._learned = -KNOWN_FOR

    def typed(self, line: str) -> None:
        """The line that is being typed has changed."""
        room = self._talk.room
        if self._talk.people.tells_typing(room, line, asyncio.get_running_loop().time()):
            self._start(self._tell_typing(room))

    def tab(self) -> None:
        """Tab was pressed: the next one is to know the people and rooms of the whole cluster."""
        now = asyncio.get_running_loop().time()
        if now - self._learned >= KNOWN_FOR:
            self._learned = now
            self._start(self._learn())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="hubbub aside")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_typing(self, room: str) -> None:
        with contextlib.suppress(HubbubError):
            await self._talk.client.typing(room)

    async def _learn(self) -> None:
        with contextlib.suppress(HubbubError):
            peers, rooms = await self._talk.client.peers(), await self._talk.client.rooms()
            self._talk.people.take_names((one.name for one in peers), (one.room for one in rooms))

    async def stop(self) -> None:
        """Ask nothing more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()  # None: closed by whoever started us

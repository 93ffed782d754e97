"""`hubbub chat`: on a terminal with a line editor, otherwise from a pipe or a file."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import TextIO

import hubbub
from hubbub.cli import common
from hubbub.cli.conversation import Conversation, Look
from hubbub.cli.input import lines_of
from hubbub.cli.render import visible

TELL_AFTER = 1.5  # seconds without a connection before that is told
MANUAL = """\
On a terminal you type, and what others say appears above your line; /help lists the commands.
From a pipe, or with --input, each line is sent in order once the room is joined; your own lines are
printed in their place among the others'; at the end of input it leaves once all are stored.
Empty lines are skipped. A line over 4,000 characters is an error; the others are still sent. The
exit code is that of the first error. Nothing of a room's past is printed unless /history asks for
it. Room names may be written with a leading "#". With more than one room joined, lines of others
begin with [room].
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = MANUAL
    common.add_connection(parser)
    parser.add_argument("--name", help="the name to go by (default: a fresh guest name)")
    parser.add_argument("--room", default="lobby", help="the room to join (default: lobby)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--timestamps", action="store_true", help="begin lines with their time")
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
    look = Look(json=args.json, timestamps=args.timestamps, typed=typed)
    addresses = common.addresses(args.server)
    loop = asyncio.get_running_loop()
    late = loop.call_later(TELL_AFTER, common.complain, "connecting ...")
    async with hubbub.connect(
        *addresses, name=args.name, agent="hubbub chat", connect_within=args.connect_within
    ) as client:
        late.cancel()
        tell = common.complain if not typed else _tell_on_screen
        talk = Conversation(client, look, _show, tell)
        if typed:
            from hubbub.cli.line_editor import LineEditor

            with LineEditor(lambda: f"{visible(talk.room)}> ") as editor:
                _show(f"* You are {visible(client.name)}; /help lists the commands")
                await _talk(talk, args.room, editor.lines(), editor.redraw)
        else:
            await _talk(talk, args.room, lines_of(descriptor), lambda: None)
        return talk.exit_code if not typed else common.OK


async def _talk(
    talk: Conversation, room: str, lines: AsyncIterator[str], redraw: Callable[[], None]
) -> None:
    printer = asyncio.create_task(talk.print_events(), name="hubbub printer")
    reader = asyncio.create_task(_read(talk, room, lines, redraw), name="hubbub reader")
    try:
        # The printer ends only when the client does, and then there is nothing to wait for.
        await asyncio.wait([printer, reader], return_when="FIRST_COMPLETED")
    finally:
        for task in (printer, reader):
            task.cancel()
        await asyncio.wait([printer, reader])
    for task in (printer, reader):
        if not task.cancelled():
            task.result()


async def _read(
    talk: Conversation, room: str, lines: AsyncIterator[str], redraw: Callable[[], None]
) -> None:
    await talk.join(common.room_of(room))
    redraw()
    async for line in lines:
        await talk.take_line(line)
        redraw()
        if talk.over.is_set():
            break
    await talk.finish()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()  # None: closed by whoever started us


def _show(line: str) -> None:
    print(line, flush=True)


def _tell_on_screen(line: str) -> None:
    print(f"! {visible(line)}", flush=True)

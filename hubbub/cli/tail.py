"""`hubbub tail`: what was said in a room, by its numbers without a hole, and what follows."""

from __future__ import annotations

import argparse

import hubbub
from hubbub.cli import common
from hubbub.cli.render import json_line, line_of, notice_of, time_of
from hubbub.client import Client
from hubbub.client_events import ClientEvent, Lacking
from hubbub.frames import Event, Message

DEFAULT_COUNT = 10
PAGE = 500

MANUAL = """\
Nobody sees you enter. Lost connections are made again, and nothing is missed or printed twice.
With --json the numbers ("seq") follow each other without a hole.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = MANUAL
    common.add_connection(parser)
    parser.add_argument("room", metavar="ROOM")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--since", type=_count, metavar="SEQ", help="begin after this number")
    start.add_argument(
        "-n", type=_count, metavar="N", help=f"begin with the last N (default: {DEFAULT_COUNT})"
    )
    parser.add_argument("--no-follow", action="store_true", help="end at the newest")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--timestamps", action="store_true", help="begin lines with their time")
    parser.add_argument("--name", help="the name to go by (default: a fresh guest name)")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**53:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print, and follow."""
    return common.run(lambda: _tail(args))


async def _tail(args: argparse.Namespace) -> int:
    addresses = common.addresses(args.server)
    printer = Printer(as_json=args.json, timestamps=args.timestamps)
    async with hubbub.connect(
        *addresses,
        name=args.name,
        visible=False,
        agent="hubbub tail",
        connect_within=args.connect_within,
    ) as client:
        roster = await client.join(common.room_of(args.room))
        after = args.since
        if after is None:
            after = max(0, roster.head - (DEFAULT_COUNT if args.n is None else args.n))
        elif after > roster.head:
            common.complain(
                f"there is no number {after} in {roster.room}: its newest is {roster.head}"
            )
            return common.BAD_DATA
        await _print_past(client, roster.room, after, roster.head, printer)
        if not args.no_follow:
            async for event in client:
                printer.take(event)
    return common.OK


async def _print_past(client: Client, room: str, after: int, head: int, printer: Printer) -> None:
    """Print what is above `after` up to `head`; what came since then waits in the client."""
    epoch = client.epoch
    while after < head:
        page = await client.history(room, after=after, limit=PAGE, epoch=epoch)
        if page.first > after + 1:
            printer.take(Lacking(room, after + 1, page.first - 1))
        for event in page.events:
            if after < event.seq <= head:
                printer.take(event)
        if not page.events:
            return
        after = page.events[-1].seq


class Printer:
    """Prints log entries; presence has no number and is left out."""

    def __init__(self, *, as_json: bool, timestamps: bool) -> None:
        self._json = as_json
        self._timestamps = timestamps

    def take(self, event: ClientEvent) -> None:
        """Print an entry on standard output, a notice on standard error."""
        if isinstance(event, Message | Event):
            line = json_line(event) if self._json else line_of(event)
            if line is None:
                return
            stamp = f"{time_of(event)} " if self._timestamps and not self._json else ""
            print(stamp + line, flush=True)
        elif (notice := notice_of(event)) is not None:
            common.complain(notice)

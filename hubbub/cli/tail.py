"""`hubbub tail`: what was said in a room, by its numbers without a hole, and what follows."""

from __future__ import annotations

import argparse

from hubbub.cli import common, identity
from hubbub.cli.render import is_direct, json_line, line_of, notice_of, time_of
from hubbub.client import Client
from hubbub.client_events import ClientEvent, EpochReset, Lacking, RoomLost
from hubbub.frames import Event, Message, Parted
from hubbub.names import name_key

AGENT = "hubbub tail"

DEFAULT_COUNT = 10
PAGE = 500

MANUAL = """\
Nobody sees you enter. The account that is logged in is used for the rooms it is in, private ones
and @NAME; another room is read as a guest, since an account that enters a room stays in it.
Lost connections are made again, and nothing is missed or printed twice.
With --json the numbers ("seq") follow each other without a hole, but where standard error tells
that some are no longer kept, or that an old copy of the data was put back and they begin anew.
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
    identity.add_identity(parser)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**53:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print, and follow."""
    return common.run(lambda: _tail(args))


async def _tail(args: argparse.Namespace) -> int:
    room = common.room_of(args.room)
    if identity.stored_account(args) is not None:
        async with identity.connected(args, agent=AGENT, visible=False) as client:
            if await _belongs_to(client, room):
                return await _follow(args, client, room)
        args.name = None  # it is the account's, whose name no guest can have
    async with identity.connected(args, agent=AGENT, guest=True, visible=False) as client:
        return await _follow(args, client, room)


async def _belongs_to(client: Client, room: str) -> bool:
    """Whether the account is in the room, or it is one that no guest can read."""
    key = name_key(room)
    if is_direct(room) or key in map(name_key, client.joined):
        return True
    invited = any(name_key(one.room) == key for one in client.invitations)
    return invited or any(
        one.private for one in await client.rooms(room) if name_key(one.room) == key
    )


async def _follow(args: argparse.Namespace, client: Client, room: str) -> int:
    printer = Printer(as_json=args.json, timestamps=args.timestamps)
    roster = await client.join(room)
    after = args.since
    if after is None:
        after = max(0, roster.head - (DEFAULT_COUNT if args.n is None else args.n))
    elif after > roster.head:
        common.complain(f"there is no number {after} in {roster.room}: its newest is {roster.head}")
        return common.BAD_DATA
    await _print_past(client, roster.room, after, roster.head, printer)
    if not args.no_follow:
        # An account hears of all its rooms; what is printed already waits in the client, too.
        printer.follow(roster.room, roster.head)
        async for event in client:
            printer.take(event)
            if printer.lost:
                return common.NOT_ALLOWED
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
    """Prints log entries of one room; presence has no number and is left out."""

    def __init__(self, *, as_json: bool, timestamps: bool) -> None:
        self.lost = False  # one is no longer in the room
        self._json = as_json
        self._timestamps = timestamps
        self._key: str | None = None  # None: whatever it is given
        self._after = 0

    def follow(self, room: str, after: int) -> None:
        """From now on only what is of this room and above that number."""
        self._key, self._after = name_key(room), after

    def take(self, event: ClientEvent) -> None:
        """Print an entry on standard output, a notice on standard error."""
        room = getattr(event, "room", None)
        if self._key is not None and room is not None and name_key(room) != self._key:
            return
        if isinstance(event, Message | Event):
            self._entry(event)
        elif isinstance(event, Parted):
            common.complain((line_of(event) or "").removeprefix("* "))
            self.lost = True
        elif (notice := notice_of(event)) is not None:
            common.complain(notice)
            if isinstance(event, EpochReset):
                self._after = 0
            elif isinstance(event, RoomLost):
                self.lost = True

    def _entry(self, event: Message | Event) -> None:
        if self._key is not None and event.seq <= self._after:
            return
        line = json_line(event) if self._json else line_of(event)
        if line is not None:
            stamp = f"{time_of(event)} " if self._timestamps and not self._json else ""
            print(stamp + line, flush=True)

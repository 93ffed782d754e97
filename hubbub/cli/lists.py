"""`hubbub rooms`, `peers`, `members`, `unread`, `status`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hubbub.cli import common, identity
from hubbub.cli.render import json_line, unread_line, unread_of, visible
from hubbub.client import Client
from hubbub.frames import Frame, Peer, Person, Report, RoomInfo, RoomState

WIDEST = 300  # characters of a column: one long cell would make every row as long


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags, by the subcommand."""
    command = parser.prog.split()[-1]
    common.add_connection(parser)
    if command != "status":
        identity.add_identity(parser)
    if command == "members":
        parser.add_argument("room", metavar="ROOM")
    if command == "rooms":
        parser.add_argument("--search", default="", help="stands in the name or the title")
    if command == "unread":
        parser.add_argument("--all", action="store_true", help="also the rooms that are read")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Ask, print, leave."""
    return common.run(lambda: _main(args))


async def _main(args: argparse.Namespace) -> int:
    guest = args.command == "status"
    if args.command == "unread" and identity.stored_account(args) is None:
        common.complain("only accounts have unread messages; `hubbub login NAME` logs in to one")
        return common.NOT_ALLOWED
    async with identity.connected(args, agent="hubbub cli", guest=guest, visible=False) as client:
        frames, rows = await _ask(client, args)
    if args.json:
        for frame in frames:
            print(json_line(frame))
    else:
        for line in table(rows):
            print(line)
    return common.OK


async def _ask(
    client: Client, args: argparse.Namespace
) -> tuple[Sequence[Frame], list[tuple[str, ...]]]:
    if args.command == "rooms":
        rooms = await client.rooms(args.search)
        return rooms, [room_row(one) for one in rooms]
    if args.command == "peers":
        peers = await client.peers()
        return peers, [peer_row(one) for one in peers]
    if args.command == "members":
        roster = await client.members(common.room_of(args.room), offline=True)
        return roster.members, [member_row(one) for one in roster.members]
    if args.command == "unread":
        states = [one for one in await client.unread() if args.all or unread_of(one)]
        return states, [unread_row(one) for one in states]
    report = await client.status()
    return [report], status_rows(report, client.gateway)


def room_row(room: RoomInfo) -> tuple[str, ...]:
    """One room of the directory."""
    notes = [note for note, is_so in (("private", room.private), ("joined", room.joined)) if is_so]
    counts = (f"{room.members} here", f"{room.head} entries")
    return (room.room, *counts, ", ".join(notes), room.title)


def peer_row(peer: Peer) -> tuple[str, ...]:
    """One person who is there."""
    return (peer.name, peer.state, peer.gateway, peer.away)


def member_row(person: Person) -> tuple[str, ...]:
    """One person of a room."""
    return (person.name, person.state, person.role, person.away)


def unread_row(state: RoomState) -> tuple[str, ...]:
    """How much of a room is not read."""
    return (state.room, unread_line(state), state.title)


def status_rows(report: Report, asked: str) -> list[tuple[str, ...]]:
    """A report as rows of a table; `asked` is the gateway that answered."""
    rows: list[tuple[str, ...]] = [
        ("answered by", asked),
        ("active worker", report.owner, f"term {report.term}, for {report.uptime:.0f} s"),
        ("brokers", f"{report.brokers} reached"),
        ("sessions", str(report.sessions)),
        ("rooms", str(report.rooms)),
        ("events", f"{report.events} stored"),
    ]
    for one in report.gateways:
        silent = f"heard {one.silent_for:.1f} s ago"
        rows.append(("gateway", one.gateway, f"{one.sessions} sessions, {silent}"))
    if report.version:
        rows.append(("version", report.version))
    return rows


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows with their columns aligned, everything made visible."""
    shown = [tuple(visible(cell) for cell in row) for row in rows]
    widths = [
        min(WIDEST, max((len(row[at]) for row in shown if len(row) > at + 1), default=0))
        for at in range(max(map(len, shown), default=0))
    ]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in shown
    ]

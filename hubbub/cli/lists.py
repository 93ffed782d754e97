"""`hubbub rooms`, `hubbub peers`, `hubbub status`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import hubbub
from hubbub.cli import common
from hubbub.cli.render import json_line, visible
from hubbub.client import Client
from hubbub.frames import Frame, Report


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags; the same for the three."""
    common.add_connection(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Ask, print, leave."""
    return common.run(lambda: _main(args))


async def _main(args: argparse.Namespace) -> int:
    addresses = common.addresses(args.server)
    async with hubbub.connect(
        *addresses, visible=False, agent="hubbub cli", connect_within=args.connect_within
    ) as client:
        frames, rows = await _ask(client, args.command)
    if args.json:
        for frame in frames:
            print(json_line(frame))
    else:
        for line in table(rows):
            print(line)
    return common.OK


async def _ask(client: Client, command: str) -> tuple[Sequence[Frame], list[tuple[str, ...]]]:
    if command == "rooms":
        rooms = await client.rooms()
        rows = [(one.room, f"{one.members} here", f"{one.head} entries") for one in rooms]
        return rooms, [tuple(map(str, row)) for row in rows]
    if command == "peers":
        peers = await client.peers()
        return peers, [(one.name, one.state, one.gateway) for one in peers]
    report = await client.status()
    return [report], status_rows(report, client.gateway)


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


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows with their columns aligned, everything made visible."""
    shown = [tuple(visible(cell) for cell in row) for row in rows]
    widths = [
        max((len(row[at]) for row in shown if len(row) > at + 1), default=0)
        for at in range(max(map(len, shown), default=0))
    ]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in shown
    ]

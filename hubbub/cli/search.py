"""`hubbub search`: messages by their words."""

from __future__ import annotations

import argparse

from hubbub.cli import common, identity
from hubbub.cli.render import json_line, line_of, time_of, visible
from hubbub.client import Client, SearchHit
from hubbub.frames import MAX_CONTEXT, MAX_HITS, Event, Message

MANUAL = """\
All words must be there; "phrases in quotes" as they stand. Filters: from:NAME, in:ROOM,
before:2026-01-31, after:2026-01-31. Only rooms that you may read are searched: as a guest the
public ones. The best come first. It exits with 1 when nothing is found.
"""

BARREN = 50  # answers in a row without anything new: enough


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = MANUAL
    common.add_connection(parser)
    identity.add_identity(parser)
    parser.add_argument("words", metavar="WORDS", nargs="+")
    parser.add_argument("-n", type=_count, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument(
        "--context",
        type=int,
        choices=range(MAX_CONTEXT + 1),
        default=0,
        metavar="N",
        help=f"messages on each side, up to {MAX_CONTEXT} (default: 0)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 10,000")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Search, print."""
    return common.run(lambda: _main(args))


async def _main(args: argparse.Namespace) -> int:
    query = common.argument_text(args.words)
    async with identity.connected(args, agent="hubbub search", visible=False) as client:
        hits = await find(client, query, args.n, args.context)
    for number, hit in enumerate(hits):
        if args.json:
            print(json_line(hit))
            continue
        if number and args.context:
            print("--")
        for line in hit_lines(hit):
            print(line)
    return common.OK if hits else common.FAILED


async def find(client: Client, query: str, count: int, context: int = 0) -> list[SearchHit]:
    """The first `count` hits, over as many answers as it takes.

    An answer may have none and say that there are more, and after an edit one may come twice.
    """
    hits: dict[tuple[str, int], SearchHit] = {}
    before = barren = 0
    while len(hits) < count and barren < BARREN:
        limit = min(MAX_HITS, count - len(hits))
        found = await client.search(query, limit=limit, context=context, before=before)
        fresh = [hit for hit in found.hits if (hit.room, hit.message.seq) not in hits]
        hits |= {(hit.room, hit.message.seq): hit for hit in fresh}
        barren = 0 if fresh else barren + 1
        before = found.next
        if not found.more:
            break
    return list(hits.values())[:count]


def hit_lines(hit: SearchHit) -> list[str]:
    """A hit for people; what was said around it is indented."""
    around = [*hit.before, hit.message, *hit.after]
    return [_line(hit.room, each, "" if each is hit.message else "  ") for each in around]


def _line(room: str, entry: Message | Event, indent: str) -> str:
    return f"{indent}{visible(room)} #{entry.seq} {time_of(entry)} {line_of(entry)}"

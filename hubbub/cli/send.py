"""`hubbub send`: say something, and exit with 0 only once it is stored."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from collections import deque

import hubbub
from hubbub.cli import common
from hubbub.cli.input import lines_of
from hubbub.cli.render import json_line
from hubbub.client import Client
from hubbub.client_requests import check_text
from hubbub.frames import Ok

STDIN = 0
MANUAL = """\
Without TEXT every line of standard input that is not empty is one message, sent in order. Nobody
sees you enter or leave. It prints nothing and exits with 0 only once all is stored.

--id makes a repetition safe: run the same command with the same --id again until it exits with 0
(or with 2, 65 or 77), and every line is stored once, also when an earlier run was killed or got no
answer. What an earlier run did is noted under $XDG_STATE_HOME/hubbub/send (readable by you alone,
kept for 7 days): so this holds for one user on one machine, for the same --server. The same --id
with another room or text is refused (65). Any text may be an id.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = MANUAL
    common.add_connection(parser)
    parser.add_argument("room", metavar="ROOM")
    parser.add_argument("text", metavar="TEXT", nargs="*", help="(default: standard input)")
    parser.add_argument("--name", help="the name to go by (default: a fresh guest name)")
    parser.add_argument("--id", help="names this message, so that sending it again is safe")
    parser.add_argument("--json", action="store_true", help="print the acknowledgements as JSON")


def run(args: argparse.Namespace) -> int:
    """Send."""
    text = common.argument_text(args.text) if args.text else None
    if text is not None and not text.strip():
        common.complain("there is no text to send")
        return common.USAGE
    if text is None and common.stdin_is_closed():
        return common.NO_INPUT
    return common.run(lambda: _send(args, text))


async def _send(args: argparse.Namespace, text: str | None) -> int:
    if text is not None:
        check_text(text)
    addresses = common.addresses(args.server)
    room = common.room_of(args.room)
    if args.id is not None:
        from hubbub.cli.send_once import send_once

        texts = [text] if text is not None else await _all_lines()
        answers = await send_once(args, room, texts)
        _print(args, answers)
        return common.OK
    # A guest's name is of no use to anybody else: its goodbye is sent and not waited for.
    patience = hubbub.Patience() if args.name else hubbub.Patience(bye_within=0)
    async with hubbub.connect(
        *addresses,
        name=args.name,
        visible=False,
        agent="hubbub send",
        connect_within=args.connect_within,
        patience=patience,
    ) as client:
        if text is None:
            await client.join(room)
            await _send_lines(args, client, room)
        else:
            # Both at once: the join goes first, and one trip less is waited for.
            _, answer = await asyncio.gather(client.join(room), client.say(room, text))
            _print(args, [answer])
    return common.OK


async def _send_lines(args: argparse.Namespace, client: Client, room: str) -> None:
    """Send standard input line by line, a bounded number of them on their way."""
    waiting: deque[asyncio.Future[Ok]] = deque()
    async for line in lines_of(STDIN):
        if line.strip():
            check_text(line)
            waiting.append(client.say_nowait(room, line))
        while waiting and (len(waiting) >= 256 or waiting[0].done()):
            _print(args, [await waiting.popleft()])
    while waiting:
        _print(args, [await waiting.popleft()])


async def _all_lines() -> list[str]:
    texts = [line async for line in lines_of(STDIN) if line.strip()]
    for line in texts:
        check_text(line)
    return texts


def _print(args: argparse.Namespace, answers: list[Ok]) -> None:
    if args.json:
        for answer in answers:
            print(json_line(answer), flush=True)


def line_ids(given: str, count: int) -> list[bytes]:
    """The 16-byte ids of `count` lines that go by one --id."""
    try:
        first = bytes.fromhex(given) if len(given) == 32 else b""
    except ValueError:
        first = b""
    if count == 1 and len(first) == 16:
        return [first]
    seed = given.encode("utf-8", "surrogateescape")
    return [hashlib.sha256(b"%d\0" % at + seed).digest()[:16] for at in range(count)]

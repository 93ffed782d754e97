"""`hubbub send`: say something, and exit with 0 only once it is stored."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import Iterator

import hubbub
from hubbub.cli import common, identity
from hubbub.cli.input import is_text, lines_of
from hubbub.cli.render import is_direct, json_line
from hubbub.client import Client
from hubbub.client_requests import check_text
from hubbub.errors import HubbubError, Refused
from hubbub.frames import Ok
from hubbub.names import name_key

STDIN = 0
UNANSWERED = 256  # lines on their way, then nothing more is read
MANUAL = """\
Without TEXT every line of standard input that is not empty is one message, sent in order. Nobody
sees a guest enter or leave; an account enters the room, and stays in it. It prints nothing and
exits with 0 only once all is stored. @NAME as the room is one person alone: the text is there when
they come. A line that cannot be sent, one over 4,000 characters or with bytes that are no UTF-8, is
named, and ends it with 65: those before it are stored, it and those after it are not. With --id
none is.

--id makes a repetition safe: run the same command with the same --id again until it exits with 0
(or with 2, 65 or 77), and every line is stored once, also when an earlier run was killed or got no
answer. As an account this holds wherever it is run, for 7 days. What a guest's earlier run did is
noted under $XDG_STATE_HOME/hubbub/send (readable by you alone, kept for 7 days): so it holds for
one user on one machine, for the same --server. The same --id with another room or text is refused
(65). Any text may be an id.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = MANUAL
    common.add_connection(parser)
    parser.add_argument("room", metavar="ROOM")
    parser.add_argument("text", metavar="TEXT", nargs="*", help="(default: standard input)")
    identity.add_identity(parser)
    parser.add_argument("--id", help="names this message, so that sending it again is safe")
    parser.add_argument("--json", action="store_true", help="print the acknowledgements as JSON")


def run(args: argparse.Namespace) -> int:
    """Send."""
    try:
        text = common.argument_text(args.text) if args.text else None
    except common.NoTextError as error:
        common.complain(str(error))
        return common.exit_code(error)
    if text is not None and not text.strip():
        common.complain("there is no text to send")
        return common.USAGE
    if text is None and common.stdin_is_closed():
        return common.NO_INPUT
    return common.run(lambda: _send(args, text))


async def _send(args: argparse.Namespace, text: str | None) -> int:
    if text is not None:
        check_text(text)
    room = common.room_of(args.room)
    account = identity.stored_account(args)
    if args.id is not None and account is None:
        from hubbub.cli.send_once import send_once

        texts = [text] if text is not None else await _all_lines()
        answers = await send_once(args, room, texts)
        _print(args, answers)
        return common.OK
    # A guest's name is of no use to anybody else: its goodbye is sent and not waited for.
    patience = hubbub.Patience() if args.name else hubbub.Patience(bye_within=0)
    async with identity.connected(
        args, agent="hubbub send", visible=False, patience=patience
    ) as client:
        if args.id is not None:
            await _send_once(args, client, room, [text] if text else await _all_lines())
        elif text is None:
            await _enter(client, room)
            await _send_lines(args, client, room)
        else:
            # Both at once: the join goes first, and one trip less is waited for.
            _, answer = await asyncio.gather(_enter(client, room), client.say(room, text))
            _print(args, [answer])
    return common.OK


async def _enter(client: Client, room: str) -> None:
    """Be where one may speak. A conversation of two needs no entering."""
    if not is_direct(room) and name_key(room) not in map(name_key, client.joined):
        await client.join(room)


async def _send_once(args: argparse.Namespace, client: Client, room: str, texts: list[str]) -> None:
    """As an account, which the server knows again: the ids alone make it safe."""
    await _enter(client, room)
    ids = line_ids(args.id, len(texts))
    said = [client.say_nowait(room, text, id=ident) for text, ident in zip(texts, ids, strict=True)]
    _print(args, await asyncio.gather(*said))


async def _send_lines(args: argparse.Namespace, client: Client, room: str) -> None:
    """Send standard input line by line, a bounded number of them on their way."""
    waiting: deque[asyncio.Future[Ok]] = deque()
    try:
        number = 0
        async for line in lines_of(STDIN):
            number += 1
            if line.strip():
                with _line(number, line):
                    waiting.append(client.say_nowait(room, line))
            while waiting and (len(waiting) >= UNANSWERED or waiting[0].done()):
                _print(args, [await waiting.popleft()])
        while waiting:
            _print(args, [await waiting.popleft()])
    except HubbubError:
        # What was said before the line that cannot be is stored, and of others nobody asks.
        for answer in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(answer, Ok):
                _print(args, [answer])
        raise
    finally:
        for left in waiting:
            left.cancel()


async def _all_lines() -> list[str]:
    lines = [line async for line in lines_of(STDIN)]
    for number, line in enumerate(lines, 1):
        if line.strip():
            with _line(number, line):
                check_text(line)
    return [line for line in lines if line.strip()]


@contextlib.contextmanager
def _line(number: int, line: str) -> Iterator[None]:
    """What is refused herein is a line of standard input, which the refusal names."""
    if not is_text(line):
        raise common.NoTextError(f"line {number}: {common.NO_TEXT}")
    try:
        yield
    except Refused as error:
        raise Refused(error.code, f"line {number}: {error.text}") from None


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

"""`hubbub operator`: what operators of the cluster can do beside being people."""

from __future__ import annotations

import argparse
import errno
from pathlib import Path

from hubbub.cli import common, identity
from hubbub.cli.account import AGENT
from hubbub.cli.commands import duration
from hubbub.cli.lists import table
from hubbub.cli.render import clock, json_line
from hubbub.client import Client
from hubbub.errors import Code, Refused
from hubbub.frames import MAX_PAGE, AuditEntry
from hubbub.names import check_name

KEY = "operator.key"  # in the data directory of the workers
LONGEST_KEY = 128  # characters: no frame holds more
MANUAL = """\
Every such act stands in the audit log. The first operator is made on the machine of the cluster,
by whoever may read the key in its data directory:

  hubbub register NAME
  hubbub operator add NAME --data var

Operators do the rest as the account that they are logged in to.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags, and a parser for each act."""
    parser.epilog = MANUAL
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)

    def act(name: str, line: str) -> argparse.ArgumentParser:
        added = acts.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        common.add_connection(added)
        return added

    for name, line in (
        ("add", "make an account an operator of the cluster"),
        ("remove", "make it one no longer"),
    ):
        added = act(name, line)
        added.add_argument("target", metavar="NAME")
        added.add_argument(
            "--data", type=Path, metavar="DIR", help=f"the cluster's data directory, for its {KEY}"
        )
    suspend = act("suspend", "shut an account out and end its sessions")
    suspend.add_argument("target", metavar="NAME")
    suspend.add_argument("--reason", default="", help="what the person is told")
    suspend.add_argument(
        "--for",
        dest="seconds",
        type=_duration,
        default=0,
        metavar="TIME",
        help="as 10m, 2h, 3d (default: until unsuspend)",
    )
    act("unsuspend", "let an account in again").add_argument("target", metavar="NAME")
    rename = act("rename", "give an account or a guest another name")
    rename.add_argument("target", metavar="OLD")
    rename.add_argument("to", metavar="NEW")
    close = act("close", "end a room: everybody is out, its name is free")
    close.add_argument("room", metavar="ROOM")
    close.add_argument("--reason", default="", help="what the people in it are told")
    act("announce", "tell everybody who is connected something").add_argument(
        "text", metavar="TEXT", nargs="+"
    )
    for name, line in (
        ("audit", "print what operators did, the newest last"),
        ("people", "list who is there, with addresses"),
    ):
        listing = act(name, line)
        listing.add_argument("--json", action="store_true", help="one JSON object a line")
        if name == "audit":
            listing.add_argument(
                "-n", type=_count, default=100, metavar="N", help="how many (default: 100)"
            )


def _duration(text: str) -> int:
    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    key = ""
    if getattr(args, "data", None) is not None:
        try:
            key = read_key(args.data)
        except OSError as error:
            common.complain(f"{args.data / KEY}: {error.strerror}")
            return common.IO_ERROR
    return common.run(lambda: _main(args, key))


def read_key(data: Path) -> str:
    """The operator key of a cluster, from its data directory.

    Raises:
        OSError: it cannot be read, or is none.
    """
    # Whoever reads what is no key is told so here, not by the server that it is too long.
    with (data / KEY).open("rb") as file:
        words = file.read(LONGEST_KEY + 2).split()
    if len(words) != 1 or not words[0].isascii() or len(words[0]) > LONGEST_KEY:
        raise OSError(errno.EINVAL, "this is no key", str(data / KEY))
    return words[0].decode()


async def _main(args: argparse.Namespace, key: str) -> int:
    # Whoever has the key needs no account, and what is stored here may be of another person.
    account = identity.stored_account(args)
    if account is None and not key:
        common.complain("you are not logged in; `hubbub login NAME` does it")
        return common.NOT_ALLOWED
    async with identity.connected(args, agent=AGENT, guest=bool(key), visible=False) as client:
        await _act(args, client, key)
    return common.OK


async def _act(args: argparse.Namespace, client: Client, key: str) -> None:
    if args.act in ("add", "remove"):
        try:
            await client.promote(args.target, args.act == "add", key)
        except Refused as refused:
            if refused.code == Code.NOT_ALLOWED and not key and not client.operator:
                text = f"{refused}; on the server's machine `--data DIR` takes the key from there"
                raise Refused(refused.code, text) from None
            raise
    elif args.act == "suspend":
        await client.suspend(args.target, args.reason, args.seconds)
    elif args.act == "unsuspend":
        await client.suspend(args.target, on=False)
    elif args.act == "rename":
        await client.rename(args.target, check_name(args.to))
    elif args.act == "close":
        await client.close_room(common.room_of(args.room), args.reason)
    elif args.act == "announce":
        await client.announce(common.argument_text(args.text))
    elif args.act == "audit":
        await _audit(args, client)
    else:
        peers = await client.peers()
        if args.json:
            for peer in peers:
                print(json_line(peer))
            return
        rows = [
            (one.name, "account" if one.account else "guest", one.state, one.address, one.gateway)
            for one in peers
        ]
        _print(table(rows))


async def _audit(args: argparse.Namespace, client: Client) -> None:
    entries: list[AuditEntry] = []
    while len(entries) < args.n:
        before = entries[-1].number if entries else 0
        limit = min(MAX_PAGE, args.n - len(entries))
        found = await client.audit(before=before, limit=limit)
        entries += found
        if len(found) < limit:
            break
    entries.reverse()
    if args.json:
        for entry in entries:
            print(json_line(entry))
        return
    _print(table([audit_row(entry) for entry in entries]))


def audit_row(entry: AuditEntry) -> tuple[str, ...]:
    """One entry as a row of a table."""
    return (clock(entry.at), entry.by, entry.action, entry.target, entry.text)


def _print(lines: list[str]) -> None:
    for line in lines:
        print(line)

"""The `hubbub` command. Each subcommand is a module with `configure(parser)` and `run(args)`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from hubbub.arguments import ArgumentParser, CommandParser

# Loaded only when asked for: `hubbub send` in a script must not pay for the line editor.
COMMANDS = {
    "chat": ("hubbub.cli.chat", "talk: read and write in rooms"),
    "send": ("hubbub.cli.send", "say something in a room, or to one person, and leave"),
    "tail": ("hubbub.cli.tail", "print what was said in a room, and what follows"),
    "search": ("hubbub.cli.search", "find messages by their words"),
    "unread": ("hubbub.cli.lists", "list what the account has not read"),
    "rooms": ("hubbub.cli.lists", "list the rooms"),
    "members": ("hubbub.cli.lists", "list who is in a room, also who is not here now"),
    "peers": ("hubbub.cli.lists", "list who is there"),
    "register": ("hubbub.cli.account", "make an account, and log in to it here"),
    "login": ("hubbub.cli.account", "log in to an account on this machine"),
    "logout": ("hubbub.cli.account", "forget the account on this machine"),
    "devices": ("hubbub.cli.account", "list where the account is logged in"),
    "passwd": ("hubbub.cli.account", "change the account's password"),
    "unregister": ("hubbub.cli.account", "delete the account"),
    "operator": (
        "hubbub.cli.operators",
        "for operators of the cluster: suspend, announce and more",
    ),
    "status": ("hubbub.cli.lists", "show how the cluster is"),
    "selftest": ("hubbub.cli.selftest", "try whether all that is said arrives, once and in order"),
    "keys": ("hubbub.cli.keys", "make the keys for a bus that leaves this machine"),
}

EPILOG = """\
examples:
  hubbub chat --name Radha                 talk in the room "lobby"
  echo "backup done" | hubbub send ops     say a line, from a script
  hubbub send @Varsha see you at 5         to one person alone, also one who is away
  hubbub tail ops -n 50                    the last 50 entries, and what follows
  hubbub register Radha                    make an account; all commands then go as it
  hubbub COMMAND --help                    all about one command

Options may stand anywhere behind COMMAND; what follows "--" is no option, whatever it looks like.

exit codes: 0 done, 1 nothing found, 2 wrong usage, 65 a text that cannot be sent, 66 no input,
69 no server could be reached, 74 a file cannot be read or written, 75 not known whether it was
done, or try later, 77 not allowed: also a wrong password, or a login that is over
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    args = _parser(argv).parse_args(argv)
    try:
        return int(importlib.import_module(COMMANDS[args.command][0]).run(args))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read our output has gone, as in `hubbub tail lobby | head -1`. Python would complain
        # once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    from hubbub import __version__

    parser = ArgumentParser(
        prog="hubbub",
        description="Talk through a Hubbub cluster.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hubbub {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    for name, (module, line) in COMMANDS.items():
        wanted = name in argv
        command = commands.add_parser(
            name,
            help=line,
            description=line[0].upper() + line[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if wanted:
            importlib.import_module(module).configure(command)
    return parser

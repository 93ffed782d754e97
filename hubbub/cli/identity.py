"""As whom a subcommand speaks: the account stored for its server, or a guest."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import hubbub
from hubbub.addresses import shown
from hubbub.cli import common, credentials
from hubbub.cli.credentials import Account
from hubbub.client import Client
from hubbub.errors import Code, Refused
from hubbub.names import name_key


class NoPasswordError(OSError):
    """There is nobody to ask."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"there is no terminal to ask for the password; set {variable}")


def add_identity(parser: argparse.ArgumentParser) -> None:
    """The flags of every subcommand that can speak as an account."""
    parser.add_argument(
        "--name",
        help="the name to go by (default: the account logged in to, else a fresh guest name)",
    )
    parser.add_argument(
        "--guest", action="store_true", help="not as the account that is logged in to"
    )


def servers(args: argparse.Namespace) -> list[str]:
    """The addresses of the cluster in one spelling, as keys of what is stored."""
    from hubbub.client_link import parse_addresses

    found = parse_addresses(tuple(common.addresses(args.server)))
    return [shown(host, port) for host, port in found]


def stored_account(args: argparse.Namespace) -> Account | None:
    """The account that the flags ask for, if it is logged in to; None for a guest.

    Raises:
        OSError: what is stored cannot be read.
    """
    if getattr(args, "guest", False):
        return None
    account = credentials.find(servers(args))
    name = getattr(args, "name", None)
    if account is not None and name is not None and name_key(name) != name_key(account.name):
        return None
    return account


@contextlib.asynccontextmanager
async def connected(
    args: argparse.Namespace, *, agent: str, guest: bool = False, **more: Any
) -> AsyncIterator[Client]:
    """A client as whom the flags say; `guest`: as a guest whatever they say.

    Raises:
        Refused: `bad_login`, when the account is no longer logged in to.
        OSError: what is stored cannot be read.
    """
    account = None if guest else stored_account(args)
    if account is not None:
        more |= {"device": account.device}
    else:
        more |= {"name": getattr(args, "name", None)}
    client = hubbub.connect(
        *common.addresses(args.server), agent=agent, connect_within=args.connect_within, **more
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(client)
        except Refused as error:
            raise _advised(error, account, more.get("name")) from None
        if account is not None and client.name != account.name:  # renamed on another device
            credentials.keep(servers(args), Account(client.name, account.device))
        yield client


def _advised(error: Refused, account: Account | None, name: str | None) -> Refused:
    """The refusal of a greeting, with what the command offers against it."""
    if account is not None and error.code is Code.BAD_LOGIN:
        who = account.name
        again = f"`hubbub login {who}` does it again, --guest goes without"
        return Refused(error.code, f"{who} is not logged in here any more; {again}")
    if name and error.code is Code.NAME_TAKEN:
        # Only where the server says that it would help: not of a guest's name, or one given up.
        login = f"log in with `hubbub login {name}`"
        return Refused(error.code, error.text.replace("log in", login, 1))
    return error


def ask_password(what: str = "Password", variable: str = "HUBBUB_PASSWORD") -> str:
    """What the variable says, or is typed at the terminal unseen.

    Raises:
        NoPasswordError: neither.
        KeyboardInterrupt: the person would rather not.
    """
    given = os.environ.get(variable)
    if given is not None:
        return given
    if not _has_terminal():
        raise NoPasswordError(variable)
    try:
        return getpass.getpass(f"{what}: ")
    except EOFError:
        raise KeyboardInterrupt from None


def ask_new_password(what: str = "New password", variable: str = "HUBBUB_PASSWORD") -> str | None:
    """Like `ask_password`, typed twice; None when the two differ, which is told."""
    password = ask_password(what, variable)
    if variable not in os.environ and ask_password("The same again", variable) != password:
        common.complain("the two are not the same")
        return None
    return password


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()
    return True

"""`hubbub register`, `login`, `logout`, `devices`, `passwd`, `unregister`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from hubbub.cli import common, credentials, identity
from hubbub.cli.credentials import Account
from hubbub.cli.lists import table
from hubbub.cli.render import clock, json_line, visible
from hubbub.client import Client, connect
from hubbub.errors import Code, Refused
from hubbub.frames import Device

AGENT = "hubbub on this machine"
PASSWORDS = """\
The password is asked for at the terminal and not shown, unless HUBBUB_PASSWORD has it (and
HUBBUB_NEW_PASSWORD a new one, where there is an old one, too).
"""
MANUALS = {
    "register": """\
Makes an account of a name that nobody holds, and logs in to it on this machine: chat, send, tail,
rooms, peers, search and unread then go as that account, unless --guest or another --name is given.
""",
    "login": """\
Logs in to an account on this machine, for this --server. What is kept is a token, not the password,
in $XDG_DATA_HOME/hubbub/accounts.json (default ~/.local/share/hubbub), readable by you alone.
When it cannot be kept there nothing is done; so it is with register and passwd.
""",
    "logout": "Forgets the account on this machine, and ends what runs as it from here.\n",
    "devices": "Lists where the account is logged in. --revoke N logs one of them out.\n",
    "passwd": "Changes the password. All other devices are logged out.\n",
    "unregister": """\
Deletes the account: its rooms are left and its sessions end. What was said stays. The name is kept
from others for 30 days. Without a terminal it wants --yes.
""",
}
_ASKING = frozenset({"register", "login", "passwd", "unregister"})


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags, by the subcommand."""
    command = parser.prog.split()[-1]
    parser.epilog = MANUALS[command] + (PASSWORDS if command in _ASKING else "")
    common.add_connection(parser)
    if command in ("register", "login"):
        parser.add_argument("name", metavar="NAME")
    elif command == "devices":
        parser.add_argument("--revoke", type=int, metavar="N", help="log this device out")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
    elif command == "unregister":
        parser.add_argument("--yes", action="store_true", help="do not ask whether to do it")


def run(args: argparse.Namespace) -> int:
    """Ask for what is needed, then do it."""
    ways: dict[str, Callable[[argparse.Namespace], int]] = {
        "register": _register,
        "login": _login,
        "logout": _logout,
        "devices": _devices,
        "passwd": _passwd,
        "unregister": _unregister,
    }
    try:
        return ways[args.command](args)
    except OSError as error:  # nobody to ask, or what is stored cannot be read
        common.complain(common.told(error))
        return common.NO_INPUT if isinstance(error, identity.NoPasswordError) else common.IO_ERROR


def _stored(args: argparse.Namespace) -> Account | None:
    account = credentials.find(identity.servers(args))
    if account is None:
        common.complain("you are not logged in; `hubbub login NAME` does it")
    return account


def _keep(args: argparse.Namespace, client: Client, done: str) -> None:
    account = Account(client.name, client.device)
    credentials.keep_done(identity.servers(args), account, done)


def _register(args: argparse.Namespace) -> int:
    if (other := credentials.find(identity.servers(args))) is not None:
        common.complain(f"you are logged in as {other.name}; `hubbub logout` ends that")
        return common.USAGE
    credentials.try_place()
    password = identity.ask_new_password()
    if password is None:
        return common.USAGE

    async def main() -> int:
        async with identity.connected(args, agent=AGENT, guest=True, visible=False) as client:
            await client.register(password)
            _keep(args, client, "the account is made")
            print(f"{visible(client.name)} is your account now, and logged in here")
        return common.OK

    return common.run(main)


def _login(args: argparse.Namespace) -> int:
    servers = identity.servers(args)
    other = credentials.find(servers)
    if other is not None and identity.stored_account(args) is None:
        common.complain(f"you are logged in as {other.name}; `hubbub logout` ends that")
        return common.USAGE
    credentials.try_place()
    password = identity.ask_password()

    async def main() -> int:
        async with connect(
            *common.addresses(args.server),
            name=args.name,
            password=password,
            # From a device that is known, guesses made by strangers do not delay it.
            device=other.device if other is not None else None,
            visible=False,
            agent=AGENT,
            connect_within=args.connect_within,
        ) as client:
            _keep(args, client, "you were logged in")
            print(f"you are logged in as {visible(client.name)}")
        return common.OK

    return common.run(main)


def _logout(args: argparse.Namespace) -> int:
    account = _stored(args)
    if account is None:
        return common.NOT_ALLOWED

    async def main() -> int:
        try:
            async with identity.connected(args, agent=AGENT, visible=False) as client:
                await client.revoke()
        except Refused as error:
            if error.code not in (Code.BAD_LOGIN, Code.EXPIRED, Code.REPLACED):
                raise  # else it is logged out already
        credentials.forget(identity.servers(args), account.name)
        print(f"{visible(account.name)} is logged out")
        return common.OK

    return common.run(main)


def _devices(args: argparse.Namespace) -> int:
    account = _stored(args)
    if account is None:
        return common.NOT_ALLOWED

    async def main() -> int:
        async with identity.connected(args, agent=AGENT, visible=False) as client:
            devices = await client.devices()
            if args.revoke is not None:
                own = any(one.current and one.device == args.revoke for one in devices)
                await client.revoke(0 if own else args.revoke)
                if own:
                    credentials.forget(identity.servers(args), account.name)
                return common.OK
        if args.json:
            for device in devices:
                print(json_line(device))
        else:
            for line in table([device_row(device) for device in devices]):
                print(line)
        return common.OK

    return common.run(main)


def device_row(device: Device) -> tuple[str, ...]:
    """One device as a row of a table."""
    here = "this one" if device.current else ""
    used = f"used {clock(device.used_at)}"
    return (str(device.device), device.label or "?", used, device.address, here)


def _passwd(args: argparse.Namespace) -> int:
    account = _stored(args)
    if account is None:
        return common.NOT_ALLOWED
    credentials.try_place()
    old = identity.ask_password("Old password")
    new = identity.ask_new_password(variable="HUBBUB_NEW_PASSWORD")
    if new is None:
        return common.USAGE

    async def main() -> int:
        async with identity.connected(args, agent=AGENT, visible=False) as client:
            await client.passwd(old, new)
            _keep(args, client, "the password is changed")
            print("the password is changed; other devices are logged out")
        return common.OK

    return common.run(main)


def _unregister(args: argparse.Namespace) -> int:
    account = _stored(args)
    if account is None:
        return common.NOT_ALLOWED
    if not args.yes and (sys.stdin is None or not sys.stdin.isatty()):
        common.complain("there is no terminal to ask whether to do it; --yes does it unasked")
        return common.NO_INPUT
    if not args.yes and not _confirmed(account.name):
        common.complain("that is not its name; nothing was done")
        return common.USAGE
    password = identity.ask_password()

    async def main() -> int:
        async with identity.connected(args, agent=AGENT, visible=False) as client:
            await client.unregister(password)
            credentials.forget(identity.servers(args), account.name)
            print(f"the account {visible(account.name)} is deleted")
        return common.OK

    return common.run(main)


def _confirmed(name: str) -> bool:
    question = f"Delete the account {visible(name)} for good? Type its name: "
    try:
        return input(question).strip() == name
    except EOFError:
        raise KeyboardInterrupt from None

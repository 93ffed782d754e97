"""What the slash commands do that are about oneself, and about this program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hubbub.cli import credentials
from hubbub.cli.commands import Command, WrongLineError
from hubbub.cli.credentials import Account
from hubbub.cli.render import visible
from hubbub.names import name_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hubbub.cli.conversation import Conversation


async def _nick(talk: Conversation, command: Command) -> None:
    before = talk.client.name
    name = await talk.client.nick(command.text)
    talk.changed()
    if not talk.client.joined:
        talk.note(f"* You are now {visible(name)}")
    stored = credentials.find(talk.servers)
    if talk.client.account and stored is not None and stored.name == before:
        credentials.keep(talk.servers, Account(name, stored.device))


async def _away(talk: Conversation, command: Command) -> None:
    state = "here" if command.name == "back" else command.name
    await talk.client.away(state, command.text)
    said = f": {visible(command.text)}" if command.text else ""
    talk.note(f"* You are {state}{said}")


async def _block(talk: Conversation, command: Command) -> None:
    on = command.name == "block"
    await talk.client.block(command.who, on)
    what = "shown nothing of" if on else "shown again what is said by"
    talk.note(f"* You are {what} {visible(command.who)}")


async def _announce(talk: Conversation, command: Command) -> None:
    await talk.client.announce(command.text)
    talk.changed()


# --- the account ------------------------------------------------------------------------------


async def _register(talk: Conversation, command: Command) -> None:
    if talk.client.account:
        raise WrongLineError(f"you have an account: {talk.client.name}")
    password = await _new_password(talk, f"Password for {talk.client.name}")
    await talk.client.register(password)
    talk.note(f"* {visible(talk.client.name)} is your account now")
    _keep(talk)


async def _login(talk: Conversation, command: Command) -> None:
    password = await _password(talk, f"Password of {command.who}")
    stored = credentials.find(talk.servers)
    device = ""
    if stored is not None and name_key(stored.name) == name_key(command.who):
        device = stored.device  # with it, guesses made by strangers do not delay the login
    await talk.client.login(command.who, password, device=device)
    talk.note(f"* You are {visible(talk.client.name)} now")
    _keep(talk)


async def _logout(talk: Conversation, command: Command) -> None:
    if not talk.client.account:
        raise WrongLineError("you are a guest; /quit leaves")
    await talk.leave_all()
    name = talk.client.name
    talk.over.set()  # the client ends with it, and that is no error
    try:
        await talk.client.revoke()
    except BaseException:
        talk.over.clear()
        raise
    credentials.forget(talk.servers, name)
    talk.note(f"* {visible(name)} is logged out")
    talk.quit()


async def _passwd(talk: Conversation, command: Command) -> None:
    if not talk.client.account:
        raise WrongLineError("you are a guest; /register makes an account")
    old = await _password(talk, "Old password")
    new = await _new_password(talk, "New password")
    await talk.client.passwd(old, new)
    talk.note("* The password is changed; your other devices are logged out")
    _keep(talk)


async def _password(talk: Conversation, what: str) -> str:
    password = await talk.screen.secret(what)
    if not password:
        raise WrongLineError("nothing was done: there was no password")
    return password


async def _new_password(talk: Conversation, what: str) -> str:
    password = await _password(talk, what)
    if talk.look.typed and await talk.screen.secret("The same again") != password:
        raise WrongLineError("nothing was done: the two are not the same")
    return password


def _keep(talk: Conversation) -> None:
    """Remember the account on this machine, unless another one is remembered."""
    other = credentials.find(talk.servers)
    if other is None or other.name == talk.client.name:
        account = Account(talk.client.name, talk.client.device)
        credentials.keep_done(talk.servers, account, "you are logged in until you leave")
    else:
        talk.note(f"* This machine stays logged in as {visible(other.name)}")


# --- this program -----------------------------------------------------------------------------


async def _bell(talk: Conversation, command: Command) -> None:
    talk.look.bell = talk.look.bell if command.on is None else command.on
    talk.note(f"* The bell is {'on' if talk.look.bell else 'off'}")


async def _numbers(talk: Conversation, command: Command) -> None:
    talk.look.numbers = talk.look.numbers if command.on is None else command.on
    talk.note(f"* Numbers are {'on' if talk.look.numbers else 'off'}")


async def _quit(talk: Conversation, command: Command) -> None:
    await talk.leave_all()
    talk.quit()


ACTIONS: dict[str, Callable[[Conversation, Command], Awaitable[None]]] = {
    "nick": _nick,
    "away": _away,
    "busy": _away,
    "back": _away,
    "block": _block,
    "unblock": _block,
    "announce": _announce,
    "register": _register,
    "login": _login,
    "logout": _logout,
    "passwd": _passwd,
    "bell": _bell,
    "numbers": _numbers,
    "quit": _quit,
}

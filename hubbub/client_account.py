"""The calls about oneself: who one is, one's account; and those of the cluster's operators."""

from __future__ import annotations

import os
import unicodedata

from hubbub.client_calls import Calls, LookCalls
from hubbub.client_identity import Identity
from hubbub.frames import (
    Announce,
    Audit,
    AuditEntry,
    AuditLog,
    Away,
    Block,
    Close,
    Device,
    DeviceList,
    Devices,
    Granted,
    Invitation,
    Nick,
    Ok,
    Passwd,
    Promote,
    Register,
    Rename,
    Reply,
    Revoke,
    Suspend,
    Unregister,
)
from hubbub.names import name_key


class AccountCalls(LookCalls):
    """Who one is. What is said here of an account is refused to guests."""

    @property
    def name(self) -> str:
        """The name one has now."""
        return self._session.who.name or ""

    @property
    def sender(self) -> int:
        """One's own number: stays when the name changes."""
        return self._session.who.sender

    @property
    def account(self) -> bool:
        """Whether one has an account; otherwise one is a guest."""
        return self._session.who.account

    @property
    def operator(self) -> bool:
        """Whether one is an operator of the cluster, as of the last greeting."""
        return self._session.who.operator

    @property
    def device(self) -> str:
        """Logs in again from here, without the password; "" for a guest. A secret."""
        return self._session.who.device

    @property
    def token(self) -> str:
        """Resumes this session from elsewhere. A secret."""
        return self._session.who.token or ""

    @property
    def blocked(self) -> frozenset[int]:
        """The numbers of those whom one has blocked, as far as the server told."""
        return frozenset(self._session.who.blocked)

    @property
    def invitations(self) -> list[Invitation]:
        """The rooms that one was asked into and has not entered yet."""
        return list(self._session.rooms.invitations.values())

    async def register(self, password: str) -> None:
        """Make an account of this guest; it keeps its name, its number and its rooms.

        Raises:
            Refused: with `bad_password`, or `not_allowed` for one that is an account already.
        """
        ident = os.urandom(16)
        await self._ask(lambda ref: Register(ref, ident, password), Granted, self._granted)

    async def login(self, name: str, password: str, *, device: str = "") -> None:
        """Become somebody who has an account, by a session of its own; the present one ends then.

        What was asked before is answered first, what is asked meanwhile waits. The rooms one is
        in are joined again under the account. A refusal leaves everything as it was. `device`: the
        token of an earlier login from here, if there is one; then no guesses of strangers delay it.

        Raises:
            Refused: with `bad_login`, `suspended`, or `limit` after too many tries.
        """
        session = self._session
        own = session.who
        who = Identity(
            name=name, password=password, device=device, visible=own.visible, agent=own.agent
        )
        who.check()
        await session.login(who)

    async def passwd(self, old: str, new: str) -> None:
        """Change one's password: every other session ends, every other device is forgotten.

        Raises:
            Refused: with `bad_login` or `bad_password`.
        """
        ident = os.urandom(16)
        await self._ask(lambda ref: Passwd(ref, ident, old, new), Granted, self._granted)

    def _granted(self, reply: Reply) -> None:
        if isinstance(reply, Granted):
            self._session.who.granted(reply)

    async def unregister(self, password: str) -> None:
        """Delete one's account: its rooms are left, and the client ends."""
        ident = os.urandom(16)
        await self._ask(lambda ref: Unregister(ref, ident, password), Ok, self._is_over)

    async def devices(self) -> list[Device]:
        """Where one's account is logged in."""
        return (await self._ask(Devices, DeviceList)).devices

    async def revoke(self, device: int = 0) -> None:
        """Forget a device and end its sessions. 0: the one in use; then the client ends, too."""
        ident = os.urandom(16)
        ending = None if device else self._is_over
        await self._ask(lambda ref: Revoke(ref, ident, device), Ok, ending)

    def _is_over(self, reply: Reply) -> None:
        if isinstance(reply, Ok):
            self._session.finish()

    async def block(self, name: str, on: bool = True) -> None:
        """Take no private messages and invitations of somebody any more, or again."""
        session = self._session
        ident = os.urandom(16)

        def note(sender: int) -> None:
            (session.who.blocked.add if on else session.who.blocked.discard)(sender)

        def taken(reply: Reply) -> None:
            if isinstance(reply, Ok) and known:
                note(known)

        known = session.rooms.sender_of(name)
        await self._ask(lambda ref: Block(ref, ident, name, on), Ok, taken)
        if not known:  # the answer does not say whose name it is
            for peer in await self.peers():
                if name_key(peer.name) == name_key(name):
                    note(peer.sender)

    async def away(self, state: str = "away", text: str = "") -> None:
        """Say how one is on this session: `here`, `away` or `busy`."""
        ident = os.urandom(16)
        own = self._session.who

        def taken(reply: Reply) -> None:
            if isinstance(reply, Ok):
                own.away = (state, text)

        await self._ask(lambda ref: Away(ref, ident, state, text), Ok, taken)

    async def nick(self, name: str) -> str:
        """Take another name; returns it in the form it is shown in."""
        ident = os.urandom(16)
        own = self._session.who
        shown = unicodedata.normalize("NFKC", name)
        told = own.told

        def taken(reply: Reply) -> None:
            if isinstance(reply, Ok) and own.told == told:
                own.name = shown

        await self._ask(lambda ref: Nick(ref, ident, name), Ok, taken)
        # What the server said meanwhile may be of before, or of another device's wish since.
        while own.told != told and own.name != shown:
            told = own.told
            mine = [each.name for each in await self.peers() if each.sender == own.sender]
            if own.told == told:
                own.name = mine[0] if mine else own.name
        return self.name


class OperatorCalls(Calls):
    """For operators of the cluster; all of it stands in the audit log."""

    async def promote(self, name: str, on: bool = True, key: str = "") -> None:
        """Make an account an operator of the cluster, or no longer.

        By an operator, or by whoever has the key in `operator.key` of the data directory.
        """
        await self._change(lambda ref, id: Promote(ref, id, name, on, key))

    async def suspend(self, name: str, text: str = "", seconds: int = 0, on: bool = True) -> None:
        """Shut an account out and end its sessions, or with `on=False` let it in again."""
        await self._change(lambda ref, id: Suspend(ref, id, name, text, seconds, on))

    async def rename(self, name: str, to: str) -> None:
        """Give somebody another name."""
        await self._change(lambda ref, id: Rename(ref, id, name, to))

    async def close_room(self, room: str, text: str = "") -> None:
        """End a room: everybody is out, its name is free."""
        await self._change(lambda ref, id: Close(ref, id, self._wire(room), text))

    async def announce(self, text: str) -> None:
        """Tell everybody who is connected something."""
        await self._change(lambda ref, id: Announce(ref, id, text))

    async def audit(self, before: int = 0, limit: int = 100) -> list[AuditEntry]:
        """What operators did, the newest first: those below a number, or with 0 the newest."""
        return (await self._ask(lambda ref: Audit(ref, before, limit), AuditLog)).entries

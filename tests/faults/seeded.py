"""Good histories made from a seed, in which the checker is to find nothing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from tests.faults.history import (
    Answered,
    AnyRecord,
    Asked,
    Back,
    Client,
    Cut,
    Entered,
    Fault,
    Kept,
    Out,
    Phase,
    Refused,
    Room,
    Roster,
    Shown,
    Standing,
    Told,
    Unknown,
)

PUBLIC, PRIVATE, PAIR = "hall", "vault", "@1:2"
STALL = "stall"  # is there for a while, and then closed
KEEPER, GUEST = 1, 4  # an operator of the cluster; and one who leaves no trace of coming and going
_replace = msgspec.structs.replace


class _Reader:
    """A client as an ideal server serves it."""

    def __init__(self, name: str, sender: int, *, exact: bool) -> None:
        self.name = name
        self.sender = sender
        self.exact = exact
        self.cut = False
        self.cursors: dict[str, int] = {}


class Good:
    """An exact chat: `records` is its history.

    Three accounts with two clients each, of which one notes exactly, and a guest; people come, go,
    are put out, muted and given roles, take other names, edit, delete, react, retry and lose
    their connections.
    """

    def __init__(self, seed: int, acts: int = 60) -> None:
        self._random = Random(seed)
        self.records: list[AnyRecord] = []
        self._at = 0.0
        self._ids = self._texts = 0
        self._logs: dict[str, list[Kept]] = {PUBLIC: [], PRIVATE: [], PAIR: []}
        self._private = {PRIVATE, PAIR}
        self._titles: dict[str, str] = {PUBLIC: "", PRIVATE: "", PAIR: ""}
        self._members: dict[str, set[int]] = {PUBLIC: set(), PRIVATE: set(), PAIR: {1, 2}}
        self._readers = [
            _Reader(f"p{sender}.{number}", sender, exact=number == 2)
            for sender in (1, 2, 3)
            for number in (1, 2)
        ]
        self._readers.append(_Reader("guest.1", GUEST, exact=False))
        self._names = {sender: f"p{sender}" for sender in (1, 2, 3)} | {GUEST: "gu"}
        self._roles: dict[tuple[str, int], str] = {}
        self._muted: dict[tuple[str, int], str] = {}  # by the names of then
        self._note(Phase, "calm")
        for reader in self._readers:
            is_keeper = reader.sender == KEEPER
            self._note(Client, reader.name, reader.name[:2], reader.sender, reader.exact, is_keeper)
            self._note(Back, reader.name, "gateway-1", False)
        for reader in self._readers:
            if reader.sender in (1, 2):
                self._enter(reader, PAIR)
        for number in range(acts):
            if number == acts // 3:
                self._note(Phase, "faults")
                self._note(Fault, "kill", "gateway-1", self._at)
                self._open_and_close()
            elif number == 2 * acts // 3:
                self._note(Phase, "healing")
            self._act()
        self._end()

    def _note(self, kind: Callable[..., AnyRecord], *fields: object) -> None:
        self._at += self._random.random() * 0.01
        self.records.append(kind(self._at, *fields))

    def _text(self) -> str:
        self._texts += 1
        return f"text {self._texts}"

    # --- the server -----------------------------------------------------------------------

    def _enter(self, reader: _Reader, room: str) -> None:
        reader.cursors[room] = len(self._logs[room])
        self._note(Entered, reader.name, room, reader.cursors[room])

    def _add(self, room: str, kind: str, sender: int, **more: object) -> int:
        log = self._logs[room]
        count = (log[-1].count if log else 0) + (kind == "message")
        entry = Kept(0.0, room, len(log) + 1, kind, sender, count=count)
        log.append(_replace(entry, **more))
        for reader in self._readers:
            if not reader.cut:
                self._serve(reader, room)
        return len(log)

    def _serve(self, reader: _Reader, room: str) -> None:
        """Show a client what it lacks of a room."""
        if room not in reader.cursors:
            return
        for entry in self._logs[room][reader.cursors[room] :]:
            seen = entry.seq, entry.kind, entry.sender, entry.text, entry.of, entry.to
            self._note(Shown, reader.name, room, *seen)
            reader.cursors[room] = entry.seq

    def _of(self, sender: int) -> list[_Reader]:
        return [reader for reader in self._readers if reader.sender == sender]

    # --- what people do -------------------------------------------------------------------

    def _act(self) -> None:
        random = self._random
        reader = random.choice(self._readers)
        if reader.cut or (random.random() < 0.05 and not reader.exact):
            self._connection(reader)
            return
        rooms = [room for room in reader.cursors if self._in(reader, room)]
        if not rooms or random.random() < 0.15:
            self._come_or_go(reader)
            return
        room = random.choice(rooms)
        if random.random() < (0.5 if reader.sender == KEEPER else 0.15):
            self._keep_order(reader, room)
            return
        if (room, reader.sender) in self._muted and (room, reader.sender) not in self._roles:
            self._ask(reader, "say", room, "", self._text(), refused=True)
            return
        own = [
            entry
            for entry in self._logs[room]
            if entry.kind == "message" and entry.sender == reader.sender and not entry.deleted
        ]
        chosen = random.random()
        if own and chosen < 0.2:
            self._edit(reader, room, random.choice(own).seq)
        elif own and chosen < 0.25:
            self._delete(reader, room, random.choice(own).seq)
        elif own and chosen < 0.32:
            of = random.choice(own).seq
            self._ask(reader, "react", room, "reacted", "+1", of)
        elif chosen < 0.36:
            self._ask(reader, "say", room, "", self._text(), refused=True)
        else:
            self._ask(reader, "say", room, "message", self._text())

    def _in(self, reader: _Reader, room: str) -> bool:
        return reader.sender in self._members[room]

    def _connection(self, reader: _Reader) -> None:
        reader.cut = not reader.cut
        if reader.cut:
            self._note(Cut, reader.name, "")
            return
        self._note(Back, reader.name, "gateway-2", True)
        for room in list(reader.cursors):
            self._serve(reader, room)

    def _ask(
        self,
        reader: _Reader,
        op: str,
        room: str,
        kind: str,
        text: str = "",
        of: int = 0,
        *,
        whom: int = 0,
        refused: bool = False,
    ) -> bool:
        """One request, answered at once, or late, or by way of another client, or never.

        Returns whether it was done.
        """
        self._ids += 1
        id = f"{self._ids:x}"
        to = self._names.get(whom, "")
        self._note(Asked, reader.name, op, id, room, text, of, to)
        if refused:
            self._note(Refused, reader.name, id, "not_allowed")
            return False
        chosen = self._random.random()
        if chosen < 0.04:  # nobody can say, and it was not done
            self._note(Unknown, reader.name, id)
            return False
        if kind == "renamed":
            seq = self._rename(reader.sender, text)
        elif kind == "unmuted":
            seq = self._add(room, kind, reader.sender, whom=whom, to=self._muted[room, whom])
        else:
            seq = self._add(room, kind, reader.sender, text=text, of=of, whom=whom, to=to)
        if chosen < 0.08:  # nobody can say, and it was done
            self._note(Unknown, reader.name, id)
        elif chosen < 0.16:
            other = self._random.choice(self._of(reader.sender))
            self._note(Asked, other.name, op, id, room, text, of, to)
            self._note(Answered, other.name, id, seq)
            self._note(Answered, reader.name, id, seq)
        else:
            self._note(Answered, reader.name, id, seq)
        return True

    def _rewrite(self, room: str, of: int, **changes: object) -> None:
        """The texts that a later change takes back: of the message, and of the edits before."""
        log = self._logs[room]
        log[of - 1] = _replace(log[of - 1], **changes)
        for at, entry in enumerate(log):
            newest = changes.get("edited") == entry.seq
            if entry.kind == "edited" and entry.of == of and not newest:
                log[at] = _replace(entry, text="")

    def _edit(self, reader: _Reader, room: str, of: int) -> None:
        text, before = self._text(), len(self._logs[room])
        self._ask(reader, "edit", room, "edited", text, of)
        if len(self._logs[room]) > before:
            self._rewrite(room, of, text=text, edited=before + 1)

    def _delete(self, reader: _Reader, room: str, of: int) -> None:
        before = len(self._logs[room])
        self._ask(reader, "delete", room, "deleted", "", of)
        if len(self._logs[room]) > before:
            self._rewrite(room, of, text="", deleted=before + 1)

    def _come_or_go(self, reader: _Reader) -> None:
        account = reader.sender != GUEST
        room = self._random.choice([PUBLIC, PRIVATE]) if account else PUBLIC
        members = self._members[room]
        if reader.sender not in members:
            self._join(reader, room, account=account)
        elif reader.sender == KEEPER and self._random.random() < 0.5:
            whom = self._random.choice(sorted(members - {GUEST}))
            self._go(reader, room, "kick", "kicked", whom)
        else:
            self._go(reader, room, "leave", "parted" if account else "", reader.sender)

    def _join(self, reader: _Reader, room: str, *, account: bool) -> None:
        self._ids += 1
        id = f"{self._ids:x}"
        if room in self._private and self._logs[room] and not self._invite(room, reader.sender):
            self._note(Asked, reader.name, "join", id, room)
            self._note(Refused, reader.name, id, "not_allowed")
            return
        self._note(Asked, reader.name, "join", id, room)
        self._members[room].add(reader.sender)
        seq = self._add(room, "joined", reader.sender) if account else 0
        self._note(Answered, reader.name, id, seq)
        for each in self._of(reader.sender):
            if not each.cut:
                self._enter(each, room)

    def _invite(self, room: str, whom: int) -> bool:
        """Whether the keeper has asked them in."""
        keeper = self._of(KEEPER)[0]
        return self._ask(keeper, "invite", room, "invited", whom=whom)

    def _open_and_close(self) -> None:
        """The accounts are in a room for a few lines, until the keeper closes it."""
        self._logs[STALL], self._members[STALL] = [], set()
        inside = [reader for reader in self._readers if reader.sender != GUEST and not reader.cut]
        for reader in inside:
            if reader.sender not in self._members[STALL]:
                self._join(reader, STALL, account=True)
        for _ in range(4):
            self._ask(self._random.choice(inside), "say", STALL, "message", self._text())
        keeper, text = self._of(KEEPER)[0], self._text()
        if not self._ask(keeper, "close", STALL, "closed", text):
            self._ask(keeper, "close", STALL, "closed", text)
        for reader in inside:
            if reader.cursors.pop(STALL, None) is not None:
                self._note(Out, reader.name, STALL, "closed")
        del self._logs[STALL], self._members[STALL]

    def _go(self, reader: _Reader, room: str, op: str, kind: str, whom: int) -> None:
        self._ids += 1
        id = f"{self._ids:x}"
        self._note(Asked, reader.name, op, id, room)
        more = {"whom": whom, "to": self._names[whom]} if kind == "kicked" else {}
        seq = self._add(room, kind, reader.sender, **more) if kind else 0
        self._note(Answered, reader.name, id, seq)
        self._members[room].discard(whom)
        for each in self._of(whom):
            if each.cursors.pop(room, None) is not None:
                self._note(Out, each.name, room, "gone")
        was_owner = self._roles.pop((room, whom), "") == "owner"
        if was_owner and self._accounts(room) and not self._owners(room):
            heir = min(self._accounts(room))
            self._roles[room, heir] = "owner"
            self._add(room, "role", heir, whom=heir, to=self._names[heir], text="owner")

    def _accounts(self, room: str) -> set[int]:
        return self._members[room] - {GUEST}

    def _owners(self, room: str) -> list[int]:
        return [
            who for (where, who), role in self._roles.items() if (where, role) == (room, "owner")
        ]

    def _keep_order(self, reader: _Reader, room: str) -> None:
        """A name, or what the keeper may do: a title, a role, a mute, or the end of one."""
        chosen = self._random.random()
        if chosen < 0.4 or reader.sender != KEEPER or room == PAIR:
            self._texts += 1
            name = f"{self._names[reader.sender][:2]}-{self._texts}"
            self._ask(reader, "nick", "", "renamed", name)
            return
        whom = self._random.choice(sorted(self._members[room]))
        muted = sorted(who for where, who in self._muted if where == room)
        if chosen < 0.5:
            text = self._text()
            if self._ask(reader, "topic", room, "topic", text):
                self._titles[room] = text
        elif chosen < 0.6 and room == PUBLIC:
            op = "public" if room in self._private else "private"
            if self._ask(reader, op, room, op):
                (self._private.add if op == "private" else self._private.discard)(room)
        elif chosen < 0.8:
            self._rank(reader, room, whom)
        elif muted and chosen < 0.9:
            if self._ask(reader, "unmute", room, "unmuted", whom=muted[0]):
                del self._muted[room, muted[0]]
        elif (
            whom != KEEPER
            and (room, whom) not in self._roles
            and self._ask(reader, "mute", room, "muted", self._text(), whom=whom)
        ):
            self._muted[room, whom] = self._names[whom]

    def _rank(self, reader: _Reader, room: str, whom: int) -> None:
        role = self._random.choice(["owner", "operator", "member"])
        is_last = self._owners(room) == [whom]
        if whom == GUEST or is_last or self._roles.get((room, whom), "member") == role:
            return
        if self._ask(reader, "role", room, "role", role, whom=whom):
            self._roles[room, whom] = role
            if role == "member":
                del self._roles[room, whom]

    def _rename(self, sender: int, name: str) -> int:
        """Each room that they are in has an event of it."""
        self._names[sender] = name
        for room in self._logs:
            if sender in self._members[room]:
                self._add(room, "renamed", sender, whom=sender, to=name)
        return 0

    # --- afterwards -----------------------------------------------------------------------

    def _end(self) -> None:
        for reader in self._readers:
            if reader.cut:
                self._connection(reader)
        self._at += 100.0
        self._note(Phase, "settled")
        for reader in self._readers:
            for room in reader.cursors:
                standing = (1, len(self._logs[room]), 0, 0, 0)
                self._note(Standing, reader.name, room, standing, standing)
                self._note(Told, *self._told(reader.name, room))
        for room in filter(self._logs.get, self._logs):
            restrictions = [
                f"mute {name}" for (where, _), name in self._muted.items() if where == room
            ]
            self._note(Told, *self._told("gateway-1", room), restrictions, True)
        self._note(Roster, "gateway-1", PUBLIC, ["p1", "p2"], ["p1", "p2"])
        for room, log in self._logs.items():
            for entry in log:
                self.records.append(_replace(entry, at=self._at))
            members = sorted(self._members[room])
            self._note(Room, room, len(log), room in self._private, members)

    def _told(
        self, client: str, room: str
    ) -> tuple[str, str, str, bool, list[tuple[int, str, str]]]:
        """What everybody knows of a room."""
        people = [
            (sender, self._names[sender], self._roles.get((room, sender), "member"))
            for sender in sorted(self._members[room])
        ]
        if room == PAIR:
            people = [(sender, name, "") for sender, name, _ in people]
        return client, room, self._titles[room], room in self._private, people

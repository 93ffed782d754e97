"""A chat in small, as the issue and DESIGN.md word it: what the rules are held against.

Nothing here is taken from worker/: people, rooms and logs are plain values, one ask is one call,
and there is no plan, index or table of access.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from hubbub import frames

NAME_KEPT = 30 * 24 * 3600 * 1000  # ms: “the name is kept from others for 30 days”
LEFT_AFTER, RESUME_WITHIN = 5.0, 60.0  # seconds
FOREVER = 2**62
MEMBERS = ("owner", "operator", "member")
STAFF = ("owner", "operator")
BEST = ("here", "busy", "away", "gone")


class No(Exception):
    """What was asked for is refused with that code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Expected(NamedTuple):
    """What an ask is to be answered: `kind` is ok, roster, granted, welcome or error."""

    kind: str
    code: str = ""
    room: int = 0
    seq: int = 0
    at: int = 0
    session: int = 0
    serial: int = 0  # of the session's token, or the device's
    device: int = 0  # that is given a token with a welcome


class Line(NamedTuple):
    """One entry of a log."""

    what: str  # message, or the kind of event
    sender: int
    name: str
    messages: int  # that the room has had
    text: str = ""
    of: int = 0
    whom: int = 0
    to: str = ""
    until: int = 0
    mentions: tuple[int, ...] = ()
    reply: int = 0
    edited: int = 0
    deleted: int = 0


@dataclass
class Somebody:
    """A guest or an account."""

    sender: int
    name: str
    account: bool = False
    operator: bool = False
    password: str = ""
    suspended: int = 0  # until then
    deleted: int = 0  # since then
    blocked: set[int] = field(default_factory=set)
    devices: dict[int, int] = field(default_factory=dict)  # number -> which token it has by now


@dataclass
class Attached:
    """A session."""

    id: int
    sender: int
    gateway: str
    address: str = ""
    visible: bool = True
    device: int = 0
    generation: int = 1
    serial: int = 1  # which token it has by now
    state: str = "here"
    away: str = ""
    lost_at: float | None = None


@dataclass
class Ban:
    """A ban or a mute."""

    name: str
    until: int
    address: str = ""


@dataclass
class Place:
    """A room."""

    id: int
    name: str
    kind: str  # public, private or direct
    title: str = ""
    closed: bool = False
    owned: bool = False  # it has had an owner, and accounts in it ever since
    members: dict[int, str] = field(default_factory=dict)  # sender -> what they are in it
    invited: dict[int, int] = field(default_factory=dict)  # sender -> by whom
    bans: dict[int, Ban] = field(default_factory=dict)
    mutes: dict[int, Ban] = field(default_factory=dict)
    log: list[Line] = field(default_factory=list)
    count: int = 0
    marks: dict[int, tuple[int, int]] = field(default_factory=dict)
    mentions: dict[int, list[int]] = field(default_factory=dict)
    reactions: set[tuple[int, int, str]] = field(default_factory=set)

    @property
    def head(self) -> int:
        """The number of the newest entry."""
        return len(self.log)

    @property
    def pair(self) -> tuple[int, ...]:
        """The two of a conversation."""
        return (
            tuple(int(each) for each in self.name[1:].split(":")) if self.kind == "direct" else ()
        )


def looks(name: str) -> str:
    """What a name looks like: “"1" like "l" and "i", "0" like "o"”."""
    return name.casefold().translate(str.maketrans("1i0", "llo"))


class Model:
    """Everybody, every room, and what has been done."""

    def __init__(self, at: int, now: float) -> None:
        self.at = at
        self.now = now
        self.people: dict[int, Somebody] = {}
        self.sessions: dict[int, Attached] = {}
        self.rooms: dict[int, Place] = {}
        self.done: dict[tuple[int, bytes], tuple[object, Expected]] = {}
        self.whose: dict[int, int] = {}  # every session there ever was -> its sender
        self.next_sender = self.next_session = self.next_room = self.next_device = 1

    # --- looking --------------------------------------------------------------------------

    def named(self, name: str) -> Somebody | None:
        """Who holds a name."""
        held = (each for each in self.people.values() if each.name.casefold() == name.casefold())
        return next(held, None)

    def who(self, name: str) -> Somebody:
        """Who is called so and lives."""
        found = self.named(name)
        if found is None or found.deleted:
            raise No("no_such_person")
        return found

    def sessions_of(self, sender: int) -> list[Attached]:
        """The sessions of a person, the oldest first."""
        return [each for _, each in sorted(self.sessions.items()) if each.sender == sender]

    def presence(self, sender: int) -> tuple[str, str]:
        """“Aggregated over visible sessions (here > busy > away > gone)”; empty: not present."""
        found = []
        for each in self.sessions_of(sender):
            if each.visible and each.lost_at is None:
                found.append((BEST.index(each.state), each.state, each.away))
            elif each.visible and each.lost_at is not None and self.now < each.lost_at + LEFT_AFTER:
                found.append((BEST.index("gone"), "gone", ""))
        if not found:
            return "", ""
        _, state, away = min(found, key=lambda one: one[0])
        return state, away

    def open_room(self, name: str) -> Place | None:
        """The room of that name."""
        same = (each for each in self.rooms.values() if each.name.casefold() == name.casefold())
        return next((each for each in same if not each.closed), None)

    def find(self, by: Somebody, name: str) -> Place | None:
        """The room that somebody calls so, `@NAME` and `@LOW:HIGH` too."""
        if not name.startswith("@"):
            return self.open_room(name)
        if ":" not in name:
            other = self.named(name[1:])
            name = direct(by.sender, other.sender) if other is not None else ""
        elif str(by.sender) not in name[1:].split(":"):
            return None
        return self.open_room(name)

    def must_find(self, by: Somebody, name: str) -> Place:
        """The same; there has to be one."""
        found = self.find(by, name)
        if found is None:
            raise No("no_such_room")
        return found

    def inside(self, sender: int) -> set[int]:
        """The rooms of a person."""
        return {each.id for each in self.rooms.values() if sender in each.members}

    def standing(self, by: Somebody, at: Attached, room: Place) -> str:
        """What somebody is to a room."""
        rank = room.members.get(by.sender)
        if rank is not None:
            mute = room.mutes.get(by.sender)
            muted = rank == "member" and mute is not None and mute.until > self.at
            return "muted" if muted else rank
        if self.is_banned(by, at, room):
            return "banned"
        return "invited" if by.sender in room.invited else "outside"

    def is_banned(self, by: Somebody, at: Attached, room: Place) -> bool:
        """“A guest's place with them”: other guests from there are kept out, too."""
        address = at.address if not by.account else ""
        return any(
            ban.until > self.at and (sender == by.sender or (address and ban.address == address))
            for sender, ban in room.bans.items()
        )

    def need(
        self, by: Somebody, at: Attached, room: Place, allowed: tuple[str, ...], *, op: bool = False
    ) -> None:
        """Pass if somebody is one of those in the room, or (`op`) an operator of the cluster."""
        standing = self.standing(by, at, room)
        if standing in allowed or (op and by.operator):
            return
        if standing == "banned":
            raise No("banned")
        if standing == "muted" and "member" in allowed:
            raise No("muted")
        if standing in ("invited", "outside") and "member" in allowed:
            raise No("not_member")
        raise No("not_allowed")

    # --- the log, in and out --------------------------------------------------------------

    def note(self, room: Place, what: str, by: Somebody, **more: object) -> int:
        """An entry of the log; its number."""
        room.log.append(Line(what, by.sender, by.name, room.count, **more))  # type: ignore[arg-type]
        return room.head

    def enter(self, room: Place, who: Somebody, rank: str = "member") -> None:
        """Somebody is in a room from now on, and has read what was said before."""
        room.invited.pop(who.sender, None)
        room.members[who.sender] = rank
        room.owned = room.owned or rank == "owner"
        if who.account and room.kind != "direct":
            self.note(room, "joined", who)
        room.marks[who.sender] = room.head, room.count
        room.mentions[who.sender] = []

    def part(self, room: Place, who: Somebody) -> None:
        """Somebody is in it no longer; a room of accounts does not stay without its owner.

        A private room that nobody is in or invited to is closed.
        """
        if list(room.members) == [who.sender]:
            self._close_if_shut(room, who)
        rank = room.members.pop(who.sender)
        room.marks.pop(who.sender)
        room.mentions.pop(who.sender)
        accounts = [each for each in sorted(room.members) if self.people[each].account]
        room.owned = room.owned and bool(accounts) and not room.closed
        if rank == "owner" and room.owned and "owner" not in room.members.values():
            heir = next(
                (each for each in accounts if room.members[each] == "operator"), accounts[0]
            )
            room.members[heir] = "owner"
            person = self.people[heir]
            self.note(room, "role", person, whom=heir, to=person.name, text="owner")

    def uninvite(self, who: Somebody) -> None:
        """Who is gone for good is invited nowhere."""
        for room in self.rooms.values():
            if room.invited.pop(who.sender, None) is not None and not room.members:
                self._close_if_shut(room, who)

    def _close_if_shut(self, room: Place, who: Somebody) -> None:
        if room.kind == "private" and not room.invited and not room.closed:
            self.note(room, "closed", who)
            self.close(room)

    def close(self, room: Place) -> None:
        """“Its name is free”, and nobody can be let in or kept out any more."""
        room.closed = True
        for about in (room.invited, room.bans, room.mutes):
            about.clear()

    def mark(self, room: Place, sender: int, seq: int, count: int) -> None:
        """“Read marks are monotonic.”"""
        if seq > room.marks[sender][0]:
            room.marks[sender] = seq, count
            room.mentions[sender] = [each for each in room.mentions[sender] if each > seq]

    def named_in(self, room: Place, text: str, by: int) -> tuple[int, ...]:
        """The other members that a text names."""
        words = [word[1:] for word in text.split() if word.startswith("@")]
        found = [self.named(word) for word in words]
        members = [each.sender for each in found if each and each.sender in room.members]
        return tuple(dict.fromkeys(each for each in members if each != by))

    def remember(self, room: Place, seq: int, whom: tuple[int, ...]) -> None:
        """A mention is unread."""
        if room.kind != "direct":
            for each in whom:
                room.mentions[each].append(seq)

    def free(self, name: str, sender: int) -> None:
        """Pass if a name can be a person's; “nor one that looks like it”."""
        for each in list(self.people.values()):
            if each.sender == sender or looks(each.name) != looks(name):
                continue
            if not each.deleted or each.deleted + NAME_KEPT > self.at:
                raise No("name_taken")
            del self.people[each.sender]

    # --- sessions -------------------------------------------------------------------------

    def begin(self, who: Somebody, gateway: str, address: str, visible: bool) -> Attached:
        """A new session."""
        session = Attached(self.next_session, who.sender, gateway, address, visible)
        self.sessions[session.id] = session
        self.whose[session.id] = who.sender
        self.next_session += 1
        return session

    def end(self, session: Attached) -> None:
        """“A guest's session, rooms and name end”; an account stays in its rooms."""
        del self.sessions[session.id]
        who = self.people[session.sender]
        if not who.account:
            for room in self.rooms.values():
                if who.sender in room.members:
                    self.part(room, who)
                    if room.kind == "direct":
                        room.title = who.name  # whoever stays is to see with whom it was
            self.uninvite(who)
            del self.people[who.sender]

    def end_all(self, who: Somebody, keep: int = 0) -> None:
        """All sessions of a person but one."""
        for each in self.sessions_of(who.sender):
            if each.id != keep:
                self.end(each)

    def lose(self, session: Attached) -> None:
        """The connection is gone."""
        if session.lost_at is None:
            session.lost_at = self.now

    def tick(self) -> None:
        """What time has brought."""
        for each in list(self.sessions.values()):
            if each.lost_at is not None and self.now >= each.lost_at + RESUME_WITHIN:
                self.end(each)

    def back(self, session: Attached, gateway: str, address: str) -> Expected:
        """A session on another connection, under a higher generation."""
        session.generation += 1
        session.lost_at, session.gateway, session.address = None, gateway, address
        return Expected("welcome", session=session.id, serial=session.serial)

    def new_token(self, who: Somebody, device: int) -> int:
        """A device's next token, of a new device where there is none; its number."""
        if device not in who.devices:
            device, self.next_device = self.next_device, self.next_device + 1
        who.devices[device] = who.devices.get(device, 0) + 1
        return device

    # --- asking ---------------------------------------------------------------------------

    def once(self, sender: int, frame: object, id: bytes) -> Expected | None:
        """What a request has led to before; “the same id with another body is `conflict`”."""
        done = self.done.get((sender, id))
        if done is None:
            return None
        if done[0] != frame:
            raise No("conflict")
        return done[1]

    def ask(
        self,
        session: int,
        generation: int,
        gateway: str,
        frame: frames.Frame,
        act: Callable[[Somebody, Attached], Expected],
    ) -> Expected:
        """One ask of a session, answered as before when it was done before."""
        id = getattr(frame, "id", None)
        sender = self.whose.get(session, 0)
        before = self.once(sender, frame, id) if id is not None else None
        if before is not None and before.kind != "granted":
            return before
        attached = self.sessions.get(session)
        if attached is None:
            if isinstance(frame, frames.Bye):
                return Expected("ok")  # “what they ask for is true already”
            raise No("expired")
        if attached.generation != generation:
            raise No("replaced")
        if attached.lost_at is not None:
            attached.lost_at, attached.gateway = None, gateway
        who = self.people[sender]
        outcome = self.grant(who, attached) if before is not None else act(who, attached)
        if id is not None:
            self.done[sender, id] = frame, outcome
        return outcome

    def grant(self, who: Somebody, at: Attached) -> Expected:
        """A new token for the device that asks."""
        at.device = self.new_token(who, at.device)
        return Expected("granted", session=at.id, serial=who.devices[at.device])


def direct(one: int, other: int) -> str:
    """The name of a conversation."""
    return f"@{min(one, other)}:{max(one, other)}"

"""Who takes part in a chat, and what each of them may want to do next. Nothing here does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from random import Random
from typing import NamedTuple

HALL = "hall"  # everybody is there, most of the time
PIT = "pit"  # where long texts are said by the hundred, and one reads slowly
PUBLIC = (HALL, "nook", "den", "loft")
LOFT = PUBLIC[-1]  # which is made private at times, and public again
PRIVATE = ("vault", "cellar")  # by invitation of the keeper
STALL = "stall-"  # begins the names of rooms that are closed after a while
REACTIONS = ("+1", "👍", "🎉", "no")
BURST = 10  # lines said at once
RECENT = 60  # messages that are remembered to be changed or reacted to
MOVES = frozenset({"join", "leave"})

# How often somebody wants what, among a hundred or so.
_WISHES = {
    "say": 56,
    "burst": 2,
    "edit": 8,
    "delete": 2,
    "react": 6,
    "unreact": 3,
    "join": 9,
    "leave": 4,
    "read": 6,
    "typing": 2,
    "away": 2,
    "nick": 4,
    "topic": 1,
    "kick": 1,
    "mute": 1,
    "unmute": 1,
    "role": 1,
    "private": 1,
}
_KEEPER_WISHES = {
    "say": 30,
    "edit": 3,
    "delete": 4,
    "react": 3,
    "read": 4,
    "topic": 4,
    "invite": 20,
    "kick": 8,
    "ban": 4,
    "unban": 12,
    "role": 12,
    "mute": 4,
    "unmute": 10,
    "private": 2,
    "public": 4,
    "typing": 1,
    "away": 1,
}
_ORDERS = frozenset(
    {"topic", "private", "public", "invite", "kick", "ban", "unban", "role", "mute", "unmute"}
)
_ROLES = ("member", "operator", "operator", "owner")


class Wish(NamedTuple):
    """One thing that somebody wants.

    Args:
        op: as in a history: say, edit, delete, react, unreact, join, leave, kick, nick ...; or
            `read`, `typing`, `away`.
        of: the number of the message that it is about; of `read` how far one has read.
        whom: the name of whom it is done to.
    """

    op: str
    room: str = ""
    text: str = ""
    of: int = 0
    whom: str = ""


class Line(NamedTuple):
    """A message that was acknowledged, and the id under which it was asked for."""

    room: str
    seq: int
    text: str
    id: bytes


class Person:
    """One account or guest.

    Attributes:
        name: with which it came, and by which it is known here.
        called: its name now, as far as anybody was told.
        sender: its number; 0 until it has come. That of a guest may become another.
        token: logs in from anywhere; "" of a guest.
        lines: what it has said lately.
        suspended: the keeper shuts it out at the moment.
    """

    def __init__(self, name: str, *, account: bool, keeper: bool = False) -> None:
        self.name = self.called = name
        self.account = account
        self.keeper = keeper
        self.sender = 0
        self.token = ""
        self.lines: deque[Line] = deque(maxlen=RECENT)
        self.reacted: deque[Wish] = deque(maxlen=RECENT)
        self.suspended = False
        self.wanted: list[str] = []  # names, the newest last

    @property
    def has_own_name(self) -> bool:
        """Whether it never wanted another one than that with which it came."""
        return not self.wanted


class People:
    """All of them."""

    def __init__(self, accounts: int, guests: int) -> None:
        self.keeper = Person("keeper", account=True, keeper=True)
        self.accounts = [Person(f"p{number}", account=True) for number in range(accounts)]
        self.guests = [Person(f"g{number}", account=False) for number in range(guests)]
        self.everybody = [self.keeper, *self.accounts, *self.guests]
        self._by_name = {person.name: person for person in self.everybody}  # accounts: of ever
        self._lines: deque[Line] = deque(maxlen=RECENT)  # said in public rooms
        self._kept_out: dict[str, set[tuple[str, str]]] = {"ban": set(), "mute": set()}
        self._texts = 0
        self.stall = ""  # the one that accounts may join at the moment
        self.closed: set[str] = set()  # those that are closed, or about to be

    def canonical(self, room: str, me: int) -> str:
        """The name of a room that is the same for everybody."""
        person = self._by_name.get(room[1:]) if room.startswith("@") else None
        return room if person is None else conversation(me, person.sender)

    def text(self) -> str:
        """A text that nobody has said yet."""
        self._texts += 1
        return f"text {self._texts}"

    # --- what has come of wishes ----------------------------------------------------------------

    def fulfilled(self, person: Person, wish: Wish, seq: int, id: bytes) -> None:
        """It was acknowledged."""
        match wish.op:
            case "say" if wish.room != PIT and not wish.room.startswith(STALL):
                line = Line(wish.room, seq, wish.text, id)
                person.lines.append(line)
                if wish.room in PUBLIC:
                    self._lines.append(line)
            case "react":
                person.reacted.append(wish)
            case "ban" | "mute":
                self._kept_out[wish.op].add((wish.room, wish.whom))
            case "unban" | "unmute":
                self._kept_out[wish.op.removeprefix("un")].discard((wish.room, wish.whom))
            case "nick":
                person.called = wish.text

    # --- wishes ---------------------------------------------------------------------------------

    def wishes(self, person: Person, inside: Collection[str], random: Random) -> list[Wish]:
        """What somebody wants who is in these rooms: one thing, or a burst of lines."""
        weights = _KEEPER_WISHES if person.keeper else _WISHES
        (op,) = random.choices(list(weights), list(weights.values()))
        match op:
            case "burst":
                room = self._place(person, inside, random)
                return [Wish("say", room, self.text()) for _ in range(BURST)]
            case "edit" | "delete" | "react" | "unreact":
                return [self._change(op, person, inside, random)]
            case "join" | "leave":
                return [self._move(op, person, inside, random)]
            case "nick":
                return [self._nick(person, random)] if not person.suspended else []
            case _ if op in _ORDERS:
                return [self._order(op, random)]
            case "read" | "typing":
                return [Wish(op, random.choice(sorted(inside)))] if inside else []
            case "away":
                return [Wish(op, text=random.choice(["here", "away", "busy"]))]
        return [self._line(person, inside, random)]

    def _line(self, person: Person, inside: Collection[str], random: Random) -> Wish:
        text = self.text()
        if random.random() < 0.1:
            text += f" for @{random.choice(self.everybody).called}"
        return Wish("say", self._place(person, inside, random), text)

    def _place(self, person: Person, inside: Collection[str], random: Random) -> str:
        """Where somebody speaks: mostly where they are, at times where they may not be."""
        number = random.random()
        if person.account and number < 0.25:
            return self._with(person, random)
        if inside and number < 0.9:
            return random.choice(sorted(inside))
        return random.choice((*PUBLIC, *PRIVATE))

    def _with(self, person: Person, random: Random) -> str:
        others = [each for each in (self.keeper, *self.accounts) if each is not person]
        return conversation(person.sender, random.choice(others).sender)

    def _change(self, op: str, person: Person, inside: Collection[str], random: Random) -> Wish:
        if op == "unreact" and person.reacted:
            return person.reacted.popleft()._replace(op="unreact")
        others = op in ("react", "unreact") or (op == "delete" and person.keeper)
        lines = self._lines if others and random.random() < 0.8 else person.lines
        if not lines:
            return self._line(person, inside, random)
        line = random.choice(lines)
        if op == "edit":
            return Wish(op, line.room, self.text(), line.seq)
        if op == "delete":
            return Wish(op, line.room, "", line.seq)
        return Wish("react", line.room, random.choice(REACTIONS), line.seq)

    def _move(self, op: str, person: Person, inside: Collection[str], random: Random) -> Wish:
        if op == "leave" and inside:
            room = random.choice(sorted(inside))
            if room not in (HALL, PIT) or random.random() < 0.1:
                return Wish(op, room)
        rooms = [*PUBLIC, *PRIVATE]
        if person.account and random.random() < 0.1:
            return Wish("join", self._with(person, random))
        if person.account and self.stall and self.stall not in inside and random.random() < 0.5:
            return Wish("join", self.stall)
        lacking = [room for room in rooms if room not in inside]
        return Wish("join", random.choice(lacking or rooms))

    def _nick(self, person: Person, random: Random) -> Wish:
        """Another name: mostly one that nobody has had, for a guest at times somebody else's.

        Accounts want no names of others: an order about one of them is never about another. And
        nobody wants twice the same name: each is taken once at most.
        """
        name = f"{person.name}-{len(person.wanted) + 1}"
        others = [each.called for each in self.everybody if not each.has_own_name]
        fit = [each for each in others if each not in person.wanted]
        if not person.account and fit and random.random() < 0.3:
            name = random.choice(fit)
        person.wanted.append(name)
        if person.account:
            self._by_name[name] = person
        return Wish("nick", text=name)

    def _order(self, op: str, random: Random) -> Wish:
        """What is done to rooms and people, mostly by the keeper: others may not everywhere.

        Only accounts are asked into rooms that are private from the beginning; or a guest who has
        taken a name meanwhile that one of them had.
        """
        if op == "topic":
            return Wish(op, random.choice((*PUBLIC, *PRIVATE)), self.text())
        if op in ("private", "public"):
            return Wish(op, LOFT)
        kept_out = self._kept_out.get(op.removeprefix("un")) if op.startswith("un") else None
        if kept_out:
            room, name = random.choice(sorted(kept_out))
            return Wish(op, room, whom=name)
        room = random.choice((*PRIVATE, LOFT) if op == "invite" else (*PUBLIC, *PRIVATE))
        people = self.accounts if room in PRIVATE else [*self.accounts, *self.guests]
        text = self.text() if op in ("kick", "ban", "mute") else ""
        if op == "role":
            people, text = [self.keeper, *self.accounts], random.choice(_ROLES)
        return Wish(op, room, text, whom=random.choice(people).called)


def conversation(one: int, other: int) -> str:
    """The name of the conversation of these two senders."""
    return f"@{min(one, other)}:{max(one, other)}"

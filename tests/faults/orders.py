"""Order in rooms, read from their logs: who might do what they did, and how a room is by that.

A log does not say everything: who came first into a room owns it unless guests were there already,
and operators of the cluster may do more than their role in a room lets them.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults.asks import Index
from tests.faults.history import Kept, Room, Told
from tests.faults.membership import turns
from tests.faults.verdict import Findings

OWNER, OPERATOR, MEMBER = "owner", "operator", "member"
_RANKS = {MEMBER: 0, OPERATOR: 1, OWNER: 2}
_WRITES = frozenset({"message", "edited", "reacted", "unreacted"})
_OF_STAFF = frozenset({"topic", "kicked", "banned", "unbanned", "muted", "unmuted"})
_OF_OWNERS = frozenset({"role", "private", "public"})
_BELOW = frozenset({"kicked", "banned", "muted"})  # only those below oneself


class Order:
    """A room as its log has left it.

    Attributes:
        private: whether who enters must have been invited.
        invited: who may enter then.
        roles: sender -> role, of accounts that are in it; None: the log does not say.
        kept_out: what of whom -> the name they had then; `("mute", 7)`.
    """

    def __init__(self, operators: Iterable[int] = ()) -> None:
        self.title = ""
        self.private: bool | None = None  # not known
        self.invited: set[int] = set()
        self.roles: dict[int, str | None] = {}
        self.kept_out: dict[tuple[str, int], str] = {}
        self._is_begun = False  # who makes a room needs no invitation
        self._operators = frozenset(operators)

    def wrong(self, entry: Kept) -> str:
        """Why this may not follow; nothing when it may."""
        kind, sender = entry.kind, entry.sender
        role = self.roles.get(sender, MEMBER)
        if ("ban", sender) in self.kept_out:
            return "is banned"
        if kind == "joined" and self.private and self._is_begun and sender not in self.invited:
            return "was not invited"
        if kind in _WRITES and role == MEMBER and ("mute", sender) in self.kept_out:
            return "is muted"
        if kind == "role" and entry.whom not in self.roles:
            return f"names {entry.whom}, who is not in it"
        fell_to_them = kind == "role" and entry.whom == sender and entry.text == OWNER
        if fell_to_them and OWNER not in self.roles.values():
            return ""
        if role is None or sender in self._operators:
            return ""
        if kind in _OF_OWNERS and role != OWNER:
            return f"is {role}"
        if kind in _OF_STAFF and role == MEMBER:
            return f"is {role}"
        other = self.roles.get(entry.whom, MEMBER)
        inside = entry.whom in self.roles
        if kind in _BELOW and inside and other is not None and _RANKS[other] >= _RANKS[role]:
            return f"is {role}, and {entry.whom} is {other}"
        return ""

    def apply(self, entry: Kept) -> None:
        """It follows."""
        kind, sender, whom = entry.kind, entry.sender, entry.whom
        match kind:
            case "topic":
                self.title = entry.text
            case "private" | "public":
                self.private = kind == "private"
            case "joined":
                self.roles[sender] = MEMBER if self.roles else None
                self.invited.discard(sender)
                self._is_begun = True
            case "invited":
                self.invited.add(whom)
            case "parted":
                self.roles.pop(sender, None)
            case "kicked" | "banned":
                self.roles.pop(whom, None)
            case "role":
                self.roles[whom] = entry.text
        if kind == "banned":
            self.invited.discard(whom)
        if kind in ("banned", "muted"):
            self.kept_out["ban" if kind == "banned" else "mute", whom] = entry.to
        elif kind in ("unbanned", "unmuted"):
            self.kept_out.pop(("ban" if kind == "unbanned" else "mute", whom), None)


def check_orders(index: Index, findings: Findings) -> None:
    """Each room's log, and what was told of it in the end."""
    operators = [each.sender for each in index.clients.values() if each.operator]
    orders: dict[str, Order] = {}
    private = {each.room: each.private for each in index.of_kind(Room)}
    for room in index.log:
        entries = index.in_order(room)
        order = orders[room] = Order(operators)
        if room in private:
            changes = turns(entries)
            order.private = changes[0].kind == "public" if changes else private[room]
        for entry in entries:
            if why := order.wrong(entry):
                text = f"{entry.seq} {entry.kind} {entry.text!r}: {entry.sender} {why}"
                findings.add("not_allowed", room, text)
            order.apply(entry)
    told = [each for each in index.of_kind(Told) if each.room in orders]
    for each in sorted(told, key=lambda each: not each.fresh):
        _check_told(each, orders[each.room], findings)


def _check_told(told: Told, order: Order, findings: Findings) -> None:
    """What the log does not say is as the first one was told: let all others be told the same."""
    room = told.room
    if told.title != order.title:
        text = f"{told.client} has the title {told.title!r}, it is {order.title!r}"
        findings.add("standing", room, text)
    if order.private is not None and told.private != order.private:
        findings.add("standing", room, f"{told.client} has it for private: {told.private}")
    for sender, _, role in told.people:
        true = order.roles.get(sender, MEMBER)
        if true is None and role:
            true = order.roles[sender] = role
        if role and role != true:
            text = f"{told.client} has {sender} for {role}, who is {true}"
            findings.add("standing", room, text)
    true_restrictions = sorted(f"{kind} {name}" for (kind, _), name in order.kept_out.items())
    if told.restrictions is not None and sorted(told.restrictions) != true_restrictions:
        text = f"{told.client} is told {sorted(told.restrictions)}, it is {true_restrictions}"
        findings.add("standing", room, text)

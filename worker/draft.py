"""A room as a turn will leave it, laid over the room as it is. Pure."""

from __future__ import annotations

from worker.records import Invite, Rank, Restriction, Room


class Draft:
    """A room as the turn will leave it: its own numbers, and what differs from the room below."""

    __slots__ = (
        "changed", "closed", "count", "first", "former", "head", "id", "invites", "key", "kind",
        "name", "new", "ranks", "restrictions", "room", "size", "title",
    )  # fmt: skip

    def __init__(self, room: Room, *, new: bool = False) -> None:
        self.room = room
        self.id = room.id
        self.name = room.name
        self.key = room.key
        self.kind = room.kind
        self.title = room.title
        self.head = room.head
        self.first = room.first
        self.count = room.count
        self.size = room.size
        self.closed = room.closed
        self.new = new
        self.changed = new  # its row is to be written: not for a message
        self.ranks: dict[int, Rank] = {}
        self.former: dict[int, bool] = {}
        self.restrictions: dict[tuple[str, int], Restriction | None] = {}
        self.invites: dict[int, Invite | None] = {}

    def rank_of(self, sender: int) -> Rank:
        """What a member is in here."""
        rank = self.ranks.get(sender)
        return self.room.rank_of(sender) if rank is None else rank

    def was_member(self, sender: int) -> bool:
        """Whether an account that is no member was one."""
        former = self.former.get(sender)
        return self.room.was_member(sender) if former is None else former

    @property
    def has_restrictions(self) -> bool:
        """Whether anybody is, or was, banned or muted."""
        return bool(self.restrictions) or self.room.has_restrictions

    def restriction(self, kind: str, sender: int) -> Restriction | None:
        """The ban or mute of somebody, also one that is over."""
        key = kind, sender
        if key in self.restrictions:
            return self.restrictions[key]
        return self.room.restriction(kind, sender)

    def all_restrictions(self) -> list[Restriction]:
        """Every ban and mute."""
        both: dict[tuple[str, int], Restriction | None] = {
            **self.room.restrictions,
            **self.restrictions,
        }
        return [each for each in both.values() if each is not None]

    def invite_of(self, sender: int) -> Invite | None:
        """The invitation of somebody."""
        if sender in self.invites:
            return self.invites[sender]
        return self.room.invite_of(sender)

    @property
    def is_open_to_somebody(self) -> bool:
        """Whether anybody is invited."""
        return any(self.invite_of(each) for each in (*self.room.invites, *self.invites))

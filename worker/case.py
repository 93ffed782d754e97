"""One request of one person in its turn, as the rules look at it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from hubbub.addresses import address_key, is_loopback
from hubbub.errors import Code, Refused
from hubbub.frames import Ok
from hubbub.names import DIRECT, direct_pair, direct_room, name_key
from hubbub.settings import Settings
from worker.access import Action, Role, allows, check
from worker.draft import Draft
from worker.plan import Plan
from worker.records import Done, Person, Rank, Room, Session
from worker.show import Then
from worker.tasks import Checked, Task

_RANKS = {
    Rank.OWNER: frozenset({Role.OWNER}),
    Rank.OPERATOR: frozenset({Role.OPERATOR}),
    Rank.MEMBER: frozenset({Role.MEMBER}),
}
_MUTED = frozenset({Role.MUTED})
_BANNED = frozenset({Role.BANNED})
_INVITED = frozenset({Role.INVITED})
_EX_MEMBER = frozenset({Role.EX_MEMBER})
_STRANGER = frozenset({Role.STRANGER})
_SUSPENDED = frozenset({Role.SUSPENDED})
_CLUSTER_OPERATOR = frozenset({Role.CLUSTER_OPERATOR})
GATEWAY = frozenset({Role.GATEWAY})


class Case(NamedTuple):
    """Who asks, in which session, and where the outcome goes."""

    plan: Plan
    task: Task
    session: Session
    person: Person
    settings: Settings
    digest: bytes  # of the request, if it carries an id
    checked: Checked | None = None  # what is known of the password in it
    operator_key: str = ""

    # --- who may --------------------------------------------------------------------------

    def may(self, action: Action) -> None:
        """Pass if the person may do that anywhere in the cluster.

        Raises:
            Refused: not so.
        """
        check(action, standing(self.person, self.plan.at))

    def may_in(self, action: Action, room: Draft | Room) -> None:
        """Pass if the person may do that in a room.

        Raises:
            Refused: not so.
        """
        roles = self.roles_in(room)
        if not allows(action, roles):  # the sentence is made only when it is needed
            check(action, roles, shown_name(self.plan, self.person, room))

    def roles_in(self, room: Draft | Room) -> frozenset[Role]:
        """What the person is to a room."""
        barred = room.has_restrictions and room.id not in self.person.rooms
        return in_room(self.plan.at, self.person, room, self.ban_address() if barred else "")

    def ban_address(self) -> str:
        """The address by which bans of guests hold for this session; empty: by none."""
        return guest_address(self.person, self.session, self.settings)

    # --- the outcome ----------------------------------------------------------------------

    def done(self, room: int = 0, seq: int = 0) -> None:
        """Note what the request's id has led to."""
        frame = self.task.ask.frame
        key = self.person.sender, frame.id  # type: ignore[union-attr]
        done = Done(self.digest, self.plan.at, room, seq)
        self.plan.note_done(self.task, key, done, self.settings.request_within)

    def ok(self, room: Draft | Room | None = None, seq: int = 0) -> None:
        """Note that it is done, and answer so."""
        self.done(room.id if room else 0, seq)
        name = room.name if room else ""
        self.plan.answer(self.task, Ok(0, name, seq, self.plan.at))


# --- roles ------------------------------------------------------------------------------------


def standing(person: Person, at: int) -> frozenset[Role]:
    """What a person is to the cluster."""
    account = person.account
    if account is None:
        return frozenset({Role.GUEST})
    if account.suspended_until > at:
        return _SUSPENDED
    if account.operator:
        return frozenset({Role.ACCOUNT, Role.CLUSTER_OPERATOR})
    return frozenset({Role.ACCOUNT})


def in_room(at: int, person: Person, room: Draft | Room, address: str) -> frozenset[Role]:
    """What a person is to a room; `address` is that of a guest, for bans."""
    account = person.account
    if account is not None and account.suspended_until > at:
        return _SUSPENDED
    sender = person.sender
    if room.id in person.rooms:
        rank = room.rank_of(sender)
        roles = _RANKS[rank]
        if rank is Rank.MEMBER and room.has_restrictions and is_muted(at, sender, room):
            roles = _MUTED
    elif room.has_restrictions and is_banned(at, person, room, address):
        roles = _BANNED
    elif room.invite_of(sender) is not None:
        roles = _INVITED
    else:
        roles = _EX_MEMBER if room.was_member(sender) else _STRANGER
    return roles | _CLUSTER_OPERATOR if person.is_operator else roles


def is_muted(at: int, sender: int, room: Draft | Room) -> bool:
    """Whether somebody may not write in a room."""
    restriction = room.restriction("mute", sender)
    return restriction is not None and restriction.until > at


def is_banned(at: int, person: Person, room: Draft | Room, address: str) -> bool:
    """Whether somebody is kept out of a room, by name or as a guest from a banned guest's place."""
    restriction = room.restriction("ban", person.sender)
    if restriction is not None and restriction.until > at:
        return True
    if not address:
        return False
    return any(
        each.kind == "ban" and each.address == address and each.until > at
        for each in room.all_restrictions()
    )


def guest_address(person: Person, session: Session, settings: Settings) -> str:
    """What stands for a guest's place in bans; empty for accounts, and for loopback."""
    if person.account is not None or not session.address:
        return ""
    if is_loopback(session.address) and not settings.limit_loopback:
        return ""
    return address_key(session.address)


# --- finding ----------------------------------------------------------------------------------


def room_id(at: Then, sender: int, name: str) -> int | None:
    """The room that somebody calls `name`: a room, `@NAME` or `@LOW:HIGH`; None: there is none."""
    if not name.startswith(DIRECT):
        key = name_key(name)
        # Other forms of "@" and ":" become these: a conversation is named by the two alone.
        return None if key.startswith(DIRECT) else at.room_id(key)
    both = direct_pair(name)
    if both is None:
        other = at.named(name_key(name[1:]))
        if other is None:
            return None
        name = direct_room(sender, other)
    elif sender not in both:
        return None
    else:
        name = direct_room(*both)
    return at.room_id(name)


def find(case: Case, name: str) -> Draft | Room:
    """The room that the person calls `name`.

    Raises:
        Refused: there is none.
    """
    id = room_id(case.plan, case.person.sender, name)
    if id is None:
        raise no_such_room(name)
    return case.plan.room(id)


def no_such_room(name: str) -> Refused:
    """The refusal for a room that does not exist, or must not be seen to."""
    what = f"no conversation with {name[1:]} yet" if name.startswith(DIRECT) else f"no room {name}"
    return Refused(Code.NO_SUCH_ROOM, f"there is {what}")


def find_person(case: Case, name: str) -> Person:
    """The guest or account called `name`.

    Raises:
        Refused: there is none.
    """
    sender = case.plan.named(name_key(name))
    person = case.plan.person(sender) if sender is not None else None
    if person is None or person.is_deleted:
        raise Refused(Code.NO_SUCH_PERSON, f"there is nobody called {name}")
    return person


def shown_name(plan: Plan, person: Person, room: Draft | Room) -> str:
    """How a room is called in a sentence for a person."""
    both = direct_pair(room.name)
    if both is None:
        return room.name
    other = plan.person(next((each for each in both if each != person.sender), 0))
    return f"@{other.name}" if other is not None else "this conversation"

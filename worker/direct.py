"""Conversations of two: begun by the first word, there for whoever is away. Pure."""

from __future__ import annotations

from hubbub.errors import Code, Refused
from hubbub.frames import Join
from hubbub.names import direct_pair, direct_room, name_key
from worker.access import Action
from worker.case import Case, no_such_room
from worker.draft import Draft
from worker.plan import Plan
from worker.records import Person, Room, RoomKind


def ready(case: Case, name: str, *, enter_other: bool) -> int:
    """The conversation that somebody calls `@NAME` or `@LOW:HIGH`, made and entered if need be.

    Args:
        enter_other: something is about to be said: bring the other one back in, too.

    Raises:
        Refused: there is nobody of that name, or they take nothing of this person.
    """
    plan, person = case.plan, case.person
    case.may(Action.WRITE_TO_PERSON)
    other = _other(case, name)
    if enter_other or plan.room_id(direct_room(person.sender, other.sender)) is None:
        check_open(person, other)
    key = direct_room(person.sender, other.sender)
    id = plan.room_id(key)
    if id is None:
        _check_space(case, other)
        id = plan.add_room(key, key, RoomKind.DIRECT).id
        enter_other = True
    # The answer to a join lets its session in; one that just speaks is let in as all others are.
    joining = isinstance(case.task.ask.frame, Join)
    _enter(plan, plan.draft(id), person.sender, case.session.id if joining else 0)
    if enter_other:
        _enter(plan, plan.draft(id), other.sender, 0)
    return id


def _enter(plan: Plan, draft: Draft, sender: int, asked_by: int) -> None:
    from worker.rooms import enter  # which needs this module for joining

    person = plan.person(sender)
    if person is not None and draft.id not in person.rooms:
        enter(plan, person, draft, asked_by=asked_by)


def _other(case: Case, name: str) -> Person:
    plan, own = case.plan, case.person.sender
    both = direct_pair(name)
    if both is None:
        sender = plan.named(name_key(name[1:]))
    elif own not in both:
        raise no_such_room("of these two")
    else:
        sender = both[0] if both[1] == own else both[1]
    if sender == own:
        raise Refused(Code.NOT_ALLOWED, "that is you")
    other = plan.person(sender) if sender is not None else None
    if other is None or other.is_deleted:
        who = f"nobody called {name[1:]}" if both is None else "nobody there any more"
        raise Refused(Code.NO_SUCH_PERSON, f"there is {who}")
    return other


def other_in(plan: Plan, room: Draft | Room, own: int) -> Person | None:
    """The other one of a conversation, as far as there is one still."""
    both = direct_pair(room.name) or ()
    return next((plan.person(each) for each in both if each != own), None)


def check_open(person: Person, other: Person) -> None:
    """Pass if neither has blocked the other.

    Raises:
        Refused: one has. Who is blocked is told that it cannot be, not why.
    """
    if other.sender in person.blocked:
        raise Refused(Code.NOT_ALLOWED, f"you have blocked {other.name}; unblock them first")
    if person.sender in other.blocked:
        raise Refused(Code.NOT_ALLOWED, f"you cannot write to {other.name}")


def check_room_open(case: Case, room: Draft | Room) -> None:
    """The same for a room that may be a conversation of two.

    Raises:
        Refused: one has blocked the other, or nobody is there to read it.
    """
    if room.kind is RoomKind.DIRECT:
        other = other_in(case.plan, room, case.person.sender)
        if other is None or other.is_deleted:
            raise Refused(Code.NO_SUCH_PERSON, "there is nobody there any more")
        check_open(case.person, other)


def _check_space(case: Case, other: Person) -> None:
    most = case.settings.max_conversations
    for person in (case.person, other):
        if len(person.rooms) < most:
            continue
        count = sum(case.plan.room(id).kind is RoomKind.DIRECT for id in person.rooms)
        if count >= most:
            who = "you have" if person is case.person else f"{person.name} has"
            raise Refused(Code.LIMIT, f"{who} too many conversations")

"""Entries of a room's log that are no messages. Pure."""

from __future__ import annotations

from hubbub import frames
from hubbub.frames import Event
from hubbub.wire import Kind
from worker.draft import Draft
from worker.plan import Plan
from worker.records import Person, RoomKind

_encode = frames.encoder.encode


def note(
    plan: Plan,
    draft: Draft,
    kind: str,
    by: Person,
    *,
    to: Person | None = None,
    of: int = 0,
    text: str = "",
    until: int = 0,
    mentions: list[int] | None = None,
) -> int:
    """Put an event into a room's log; its number is returned."""
    draft.head += 1
    event = Event(
        draft.name,
        draft.head,
        kind,
        by.sender,
        by.name,
        plan.at,
        draft.count,
        to.name if to is not None else "",
        to.sender if to is not None else 0,
        of,
        text,
        until,
        mentions or [],
    )
    return plan.append(draft, Kind.EVENT, by.sender, _encode(event))


def forget_invitations(plan: Plan, person: Person, *, keep: int = 0) -> None:
    """Of what somebody was invited to only the newest `keep` still count."""
    sender = person.sender
    rooms = [plan.room(id) for id in plan.invited_to(sender)]
    waiting = [(invite.at, room.id) for room in rooms if (invite := room.invite_of(sender))]
    for _, id in sorted(waiting)[: max(0, len(waiting) - keep)]:
        draft = plan.draft(id)
        draft.invites[sender] = None
        if draft.size == 0:
            _close_if_shut(plan, draft, person)


def close_after_last(plan: Plan, draft: Draft, person: Person) -> None:
    """Close a private room that its last member is about to leave, with nobody invited.

    Nobody could ever enter it again: its name is of more use to others.
    """
    if draft.size == 1:
        _close_if_shut(plan, draft, person)


def _close_if_shut(plan: Plan, draft: Draft, by: Person) -> None:
    if not draft.closed and draft.kind is RoomKind.PRIVATE and not draft.is_open_to_somebody:
        note(plan, draft, "closed", by)
        plan.close_room(draft)

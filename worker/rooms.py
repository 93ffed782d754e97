"""What a room does with an ask: join, leave, say; and renaming, told to every room. Pure."""

from __future__ import annotations

import msgspec

from hubbub import frames, names
from hubbub.errors import Code, EpochChanged, Refused
from hubbub.frames import Event, Join, Leave, Message, Nick, Ok, Roster, Say
from hubbub.settings import Settings
from hubbub.wire import Answer, Item, Kind
from worker import presence
from worker.access import Role, check
from worker.plan import Draft, Plan, Task, View, snapshot
from worker.records import Done, Room, Session, digest_of, key_of

_change = msgspec.structs.replace
_encode = frames.encoder.encode


def find(plan: Plan, name: str) -> Draft | Room:
    """The room called `name`.

    Raises:
        Refused: there is none.
    """
    id = plan.room_id(key_of(name))
    if id is None:
        raise Refused(Code.NO_SUCH_ROOM, f"there is no room {name}")
    return plan.room(id)


def role_in(session: Session, room: Draft | Room) -> Role:
    """What a session is to a room."""
    return Role.MEMBER if room.id in session.rooms else Role.SESSION


def check_cursor(plan: Plan, room: Draft | Room, cursor: int | None, epoch: int) -> None:
    """Pass if a reader's cursor belongs to this numbering; epoch 0 asks for whatever there is.

    Raises:
        EpochChanged: it does not, or is above the head.
    """
    if epoch and epoch != plan.state.epoch:
        raise EpochChanged(f"the numbering of {room.name} began anew", plan.state.epoch, room.head)
    if cursor is not None and cursor > room.head:
        text = f"{room.name} has no number {cursor} yet"
        raise EpochChanged(text, plan.state.epoch, room.head)


def say_digest(frame: Say) -> bytes:
    """What makes one post the same as another."""
    return digest_of("say", frame.room, frame.text, frame.action)


def say(plan: Plan, task: Task, session: Session, frame: Say, digest: bytes) -> None:
    """Number one message."""
    id = plan.room_id(key_of(frame.room))
    if id is None:
        raise Refused(Code.NO_SUCH_ROOM, f"there is no room {frame.room}; join makes it")
    if id not in session.rooms:
        check(Say, Role.SESSION, frame.room)
    draft = plan.draft(id)
    draft.head += 1
    draft.count += 1
    sender, at = session.sender, plan.at
    message = Message(
        draft.name, draft.head, sender, session.name, frame.text, at, draft.count, frame.action
    )
    seq = plan.append(draft, Kind.MESSAGE, sender, _encode(message))
    plan.done[sender, frame.id] = Done(digest, at, id, seq)
    plan.answer(task, Ok(0, draft.name, seq, at))


def join(
    plan: Plan, task: Task, session: Session, frame: Join, digest: bytes, settings: Settings
) -> None:
    """Let a session into a room; one that does not exist is made."""
    name = names.check_name(frame.room, "room")
    key = names.name_key(name)
    id = plan.room_id(key)
    if id is None:
        if frame.since:
            raise EpochChanged(f"the room {name} is new", plan.state.epoch, 0)
    else:
        check_cursor(plan, plan.room(id), frame.since, frame.epoch)
    if id is None or id not in session.rooms:
        _enter(plan, session, name, key, id, settings)
    id = plan.room_id(key)
    assert id is not None
    plan.done[session.sender, frame.id] = Done(digest, plan.at, id, 0)
    joined(plan, task, id)


def _enter(
    plan: Plan, session: Session, name: str, key: str, id: int | None, settings: Settings
) -> None:
    if len(session.rooms) >= settings.max_rooms:
        raise Refused(
            Code.LIMIT,
            f"you are in {len(session.rooms)} rooms, which is the limit; leave one first",
        )
    draft = plan.add_room(name, key) if id is None else plan.draft(id)
    if draft.size >= settings.max_members:
        raise Refused(Code.LIMIT, f"{draft.name} is full; try later")
    draft.size += 1
    inside = _change(session, rooms=session.rooms | {draft.id})
    plan.put_session(inside)
    presence.tell(plan, inside, inside.seen_in & {draft.id}, "entered")


def joined(plan: Plan, task: Task, id: int) -> None:
    """Answer a join: the gateway fills in the roster from its own copy, or from the snapshot."""
    no, with_snapshot = task.ask.no, task.ask.snapshot

    def answer(view: View) -> Answer:
        room = view.state.rooms[id]
        roster = Roster(0, room.name, room.head, room.first, room.count, view.state.epoch)
        return Answer(no, roster, rooms=[snapshot(view, room)] if with_snapshot else [])

    plan.answer_later(task, answer, kept=True)


def leave(plan: Plan, task: Task, session: Session, frame: Leave, digest: bytes) -> None:
    """Take a session out of a room; also when it was not in it."""
    id = plan.room_id(key_of(frame.room))
    if id is not None and id in session.rooms:
        plan.draft(id).size -= 1
        outside = _change(session, rooms=session.rooms - {id})
        plan.put_session(outside)
        presence.tell(plan, outside, session.seen_in & {id}, "left")
    plan.done[session.sender, frame.id] = Done(digest, plan.at, id or 0, 0)
    plan.answer(task, Ok(0, frame.room, at=plan.at))


def nick(plan: Plan, task: Task, session: Session, frame: Nick, digest: bytes) -> None:
    """Rename a session; every room it is seen in gets a numbered `renamed`."""
    name = names.check_name(frame.name)
    key = names.name_key(name)
    if plan.named(key) not in (None, session.id):
        raise Refused(Code.NAME_TAKEN, f"the name {name} is taken; choose another")
    if name != session.name:
        plan.put_session(_change(session, name=name, key=key))
        plan.items.append(Item(Kind.SESSION_RENAMED, 0, 0, session.id, name.encode()))
        for id in sorted(session.seen_in):
            draft = plan.draft(id)
            draft.head += 1
            event = Event(
                draft.name,
                draft.head,
                "renamed",
                session.sender,
                session.name,
                plan.at,
                draft.count,
                name,
            )
            plan.append(draft, Kind.EVENT, session.sender, _encode(event))
    plan.done[session.sender, frame.id] = Done(digest, plan.at, 0, 0)
    plan.answer(task, Ok(0, at=plan.at))

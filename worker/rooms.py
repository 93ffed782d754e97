"""Who is in a room: joining, leaving, names; what others and one's devices are told. Pure."""

from __future__ import annotations

from hubbub import frames, names, wire
from hubbub.errors import Code, EpochChanged, Refused
from hubbub.frames import Join, Leave, Nick, Parted, Roster
from hubbub.settings import Settings
from hubbub.wire import Answer, Entry, Item, Kind
from worker import direct
from worker.access import Action
from worker.case import Case, room_id
from worker.draft import Draft
from worker.log import close_after_last, note
from worker.plan import Plan
from worker.presence import change, tell
from worker.records import Mark, Person, Rank, Room, RoomKind
from worker.show import own_state, snapshot, snapshot_now
from worker.tasks import Task, View

_encode = frames.encoder.encode
NAME_KEPT = 30 * 24 * 3600 * 1000  # ms for which the name of a deleted account is nobody else's


# --- in and out -------------------------------------------------------------------------------


def enter(
    plan: Plan, person: Person, draft: Draft, *, asked_by: int, rank: Rank = Rank.MEMBER
) -> None:
    """Make somebody a member.

    Args:
        asked_by: the session whose own answer tells it; the person's others are told here.
    """
    draft.size += 1
    if rank > Rank.MEMBER:
        draft.ranks[person.sender] = rank
    if draft.invite_of(person.sender) is not None:
        draft.invites[person.sender] = None
    lasting = person.account is not None and draft.kind is not RoomKind.DIRECT
    if lasting:
        draft.former[person.sender] = False
        note(plan, draft, "joined", person)
    inside = change(person, rooms=person.rooms | {draft.id})
    plan.put_person(inside)
    plan.marks[person.sender, draft.id] = Mark(draft.head, draft.count)
    if plan.unread_mentions(person.sender, draft.id):
        plan.mentions[person.sender, draft.id] = ()  # of before they left, in this same turn
    tell(plan, inside, inside.seen_in & {draft.id}, "entered", "joined" if lasting else "")
    if inside.sessions - {asked_by}:
        entry = Entry(snapshot_now(plan, draft.id), own_state(plan, draft, person.sender))
        body = wire.encoder.encode(entry)
        plan.items.append(Item(Kind.MEMBER_IN, draft.id, asked_by, person.sender, body))


def part(
    plan: Plan,
    person: Person,
    draft: Draft,
    why: str,
    *,
    asked_by: int = 0,
    by: str = "",
    text: str = "",
) -> None:
    """Make somebody a member no longer. What led to it stands in the log already."""
    sender = person.sender
    was_owner = draft.rank_of(sender) is Rank.OWNER
    # An event tells of it already, but for guests that leave by themselves.
    told = why if person.account is not None or why != "parted" else ""
    tell(plan, person, person.seen_in & {draft.id}, "left", told)
    close_after_last(plan, draft, person)
    draft.size -= 1
    draft.ranks[sender] = Rank.MEMBER
    if person.account is not None:
        draft.former[sender] = True
    plan.put_person(change(person, rooms=person.rooms - {draft.id}))
    body = _encode(Parted(draft.name, why, by, text))
    plan.items.append(Item(Kind.MEMBER_OUT, draft.id, asked_by, sender, body))
    if was_owner and not draft.closed:
        _pass_on(plan, draft)


def members_now(plan: Plan, id: int) -> list[Person]:
    """The members of a room at this place of the turn, by sender."""
    room = plan.state.rooms.get(id)
    senders = set(room.members) if room is not None else set()
    senders |= plan.people.keys()
    found = (plan.person(sender) for sender in sorted(senders))
    return [each for each in found if each is not None and id in each.rooms]


def _pass_on(plan: Plan, draft: Draft) -> None:
    """A room whose last owner has gone belongs to its first operator, else its first account."""
    heirs = [each for each in members_now(plan, draft.id) if each.account is not None]
    if not heirs or any(draft.rank_of(each.sender) is Rank.OWNER for each in heirs):
        return
    heir = max(heirs, key=lambda each: (draft.rank_of(each.sender), -each.sender))
    draft.ranks[heir.sender] = Rank.OWNER
    note(plan, draft, "role", heir, to=heir, text=Rank.OWNER.word)


# --- joining ----------------------------------------------------------------------------------


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


def join(case: Case, frame: Join) -> None:
    """Let somebody into a room; one that does not exist is made."""
    plan, person = case.plan, case.person
    if frame.room.startswith(names.DIRECT):
        known = room_id(plan, person.sender, frame.room)
        if known is not None:
            check_cursor(plan, plan.room(known), frame.since, frame.epoch)
        elif frame.since:
            raise EpochChanged("this conversation is new", plan.state.epoch, 0)
        if known is not None and known in person.rooms:
            id = known  # also when the other one is gone for good
        else:
            id = direct.ready(case, frame.room, enter_other=False)
    else:
        name = names.check_name(frame.room, "room")
        key = names.name_key(name)
        found = plan.room_id(key)
        if found is None:
            if frame.since:
                raise EpochChanged(f"the room {name} is new", plan.state.epoch, 0)
            id = _make(case, name, key, private=frame.private)
        else:
            id = found
            room = plan.room(id)
            private = room.kind is not RoomKind.PUBLIC
            case.may_in(Action.JOIN_PRIVATE if private else Action.JOIN_PUBLIC, room)
            check_cursor(plan, room, frame.since, frame.epoch)
            if id not in person.rooms:
                _check_space(case)
                draft = plan.draft(id)
                if draft.size >= case.settings.max_members:
                    raise Refused(Code.LIMIT, f"{draft.name} is full; try later")
                # Whoever finds a room that everybody has left may have it.
                alone = draft.size == 0 and person.account is not None
                rank = Rank.OWNER if alone else Rank.MEMBER
                enter(plan, person, draft, asked_by=case.session.id, rank=rank)
    case.done(id)
    joined(plan, case.task, id, person.sender)


def _make(case: Case, name: str, key: str, *, private: bool) -> int:
    case.may(Action.MAKE_PRIVATE_ROOM if private else Action.MAKE_ROOM)
    _check_space(case)
    kind = RoomKind.PRIVATE if private else RoomKind.PUBLIC
    draft = case.plan.add_room(name, key, kind)
    # A guest is gone tomorrow, and its name another's: no room can belong to one.
    rank = Rank.OWNER if case.person.account is not None else Rank.MEMBER
    enter(case.plan, case.person, draft, asked_by=case.session.id, rank=rank)
    return draft.id


def _check_space(case: Case) -> None:
    rooms = case.person.rooms
    most = case.settings.max_rooms
    if len(rooms) < most:
        return
    count = sum(case.plan.room(id).kind is not RoomKind.DIRECT for id in rooms)
    if count >= most:
        raise Refused(Code.LIMIT, f"you are in {count} rooms, which is the limit; leave one first")


def joined(plan: Plan, task: Task, id: int, sender: int) -> None:
    """Answer a join: the gateway fills in the roster from its own copy, or from the snapshot.

    Asked again it may have been undone meanwhile, or the session be over; then the answer says
    so, and shows nothing.
    """
    no, with_snapshot, session = task.ask.no, task.ask.snapshot, task.ask.session

    def answer(view: View) -> Answer:
        room = view.state.rooms[id]
        if sender not in room.members or session not in view.state.sessions:
            gone = Roster(0, room.name, 0, epoch=view.state.epoch)
            return Answer(no, gone, inside=False)
        roster = roster_of(view.state.epoch, own_state(view.state, room, sender))
        return Answer(no, roster, rooms=[snapshot(view, room)] if with_snapshot else [])

    plan.answer_later(task, answer, kept=True)


def roster_of(
    epoch: int, own: frames.RoomState, members: list[frames.Person] | None = None
) -> Roster:
    """The answer that tells of a room and who is in it."""
    return Roster(
        0,
        own.room,
        own.head,
        own.first,
        own.count,
        epoch,
        members or [],
        own.title,
        own.private,
        own.role,
        own.mark,
        own.marked,
        own.mentions,
        own.peer,
    )


def leave(case: Case, frame: Leave) -> None:
    """Take somebody out of a room; also when they were not in it."""
    plan, person = case.plan, case.person
    id = room_id(plan, person.sender, frame.room)
    room = plan.room(id) if id is not None else None
    if room is not None:
        case.may_in(Action.LEAVE, room)
        if room.id in person.rooms:
            draft = plan.draft(room.id)
            if person.account is not None and draft.kind is not RoomKind.DIRECT:
                note(plan, draft, "parted", person)
            part(plan, person, draft, "parted", asked_by=case.session.id)
        elif room.kind is RoomKind.PRIVATE:
            room = None  # how it is written is not told outside
    case.ok(room)


# --- names ------------------------------------------------------------------------------------


def free_name(plan: Plan, wanted: str, sender: int, settings: Settings) -> tuple[str, str]:
    """The name as it is written, and its key, if it may be the person's.

    Args:
        sender: who wants it: their own name, written otherwise, is theirs already.

    Raises:
        Refused: it may not be one, is somebody's, or looks like somebody's.
    """
    name = names.check_name(wanted)
    key = names.name_key(name)
    holder = plan.named(key)
    if holder is not None and holder != sender and not _reclaimed(plan, holder):
        other = plan.person(holder)
        if other is not None and other.is_deleted:
            kept = "is kept from others for 30 days"
            text = f"the name {name} was given up with its account, and {kept}; choose another"
        elif other is not None and other.account is not None:
            text = f"the name {name} belongs to an account; log in, or choose another"
        else:
            text = f"the name {name} is taken; choose another"
        raise Refused(Code.NAME_TAKEN, text)
    alike = plan.looks_like(name)
    if alike is not None and alike != sender and not _reclaimed(plan, alike):
        other = plan.person(alike)
        shown = other.name if other is not None else "another"
        raise Refused(Code.NAME_TAKEN, f"the name {name} looks like {shown}; choose another")
    return name, key


def _reclaimed(plan: Plan, holder: int) -> bool:
    """Whether a name was that of an account which is long deleted; it is free then."""
    person = plan.person(holder)
    if person is None or person.account is None or not person.is_deleted:
        return False
    if person.account.deleted_at + NAME_KEPT > plan.at:
        return False
    plan.drop_person(person)
    return True


def nick(case: Case, frame: Nick) -> None:
    """Somebody takes another name."""
    case.may(Action.PERSONAL)
    rename(case.plan, case.person, frame.name, case.settings)
    case.ok()


def rename(plan: Plan, person: Person, wanted: str, settings: Settings) -> None:
    """Give somebody another name; every room that they are seen in gets a numbered `renamed`.

    So does a conversation that they have left: by their name the other one knows it.

    Raises:
        Refused: it cannot be theirs.
    """
    name, key = free_name(plan, wanted, person.sender, settings)
    if name == person.name:
        return
    renamed = change(person, name=name, key=key)
    plan.put_person(renamed)
    for id in sorted(person.sessions):
        plan.items.append(Item(Kind.SESSION_RENAMED, 0, 0, id, name.encode()))
    for id in sorted(rooms_that_name(plan, person)):
        note(plan, plan.draft(id), "renamed", person, to=renamed)


def rooms_that_name(plan: Plan, person: Person) -> frozenset[int]:
    """The rooms in which a new name of somebody is told; none of a guest that nobody sees."""
    if person.account is None and not person.state:
        return frozenset()
    return person.rooms.union(id for id in plan.talks_of(person.sender) if plan.room(id).size)

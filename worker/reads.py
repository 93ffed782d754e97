"""Answers that change nothing: logs, rosters, lists, how the cluster is. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.frames import (
    AuditEntry,
    AuditLog,
    Error,
    History,
    Members,
    Page,
    Peer,
    PeerList,
    Peers,
    Ping,
    Pong,
    Restrictions,
    RoomInfo,
    RoomList,
    Search,
    States,
)
from hubbub.names import name_key
from hubbub.settings import Settings
from hubbub.wire import Answer, Fetch, Fetched
from worker import query
from worker.access import Action, Role, allows, check
from worker.case import Case, find, find_person, guest_address, in_room, no_such_room
from worker.draft import Draft
from worker.moderation import told
from worker.plan import Plan
from worker.records import AuditRow, EventRow, Person, Room, RoomKind
from worker.rooms import check_cursor, roster_of
from worker.show import own_state, people, shown
from worker.state import State
from worker.tasks import Auditing, Reading, Reply, Searching, Task, View

PAGE_BYTES = 256 * 1024  # of the events in one page; one event is always given
FETCH_LIMIT = 2000
LOOKED_AT = 20_000  # rooms looked at for one answer; then `more` says to go on


def _later(plan: Plan, task: Task, reply: Callable[[View], Reply]) -> None:
    """Answer with what is true when the turn is over, if the session lives then.

    What the person may see may be less by then: it is for `reply` to look at it.
    """
    no, session = task.ask.no, task.ask.session

    def answer(view: View) -> Answer:
        if session not in view.state.sessions:
            return Answer(no, Error(Code.EXPIRED, "the session is over"))
        try:
            return Answer(no, reply(view))
        except Refused as refused:
            return Answer(no, Error(refused.code, refused.text))

    plan.answer_later(task, answer, kept=False)


def reading(room: Draft | Room) -> Action:
    """What looking into a room takes."""
    return Action.READ_PUBLIC if room.kind is RoomKind.PUBLIC else Action.READ_PRIVATE


def check_still(view: View, asking: int, room: Room, at: int) -> None:
    """Pass if a session may read a room when the turn is over, as it might when it asked.

    Meanwhile somebody may have been put out, and the room been made private, or closed.

    Raises:
        Refused: not any more.
    """
    if asking not in view.state.sessions:
        raise Refused(Code.EXPIRED, "the session is over")
    if room.closed:
        raise no_such_room(room.name)
    check(reading(room), _roles_now(view.state, asking, room, view.settings, at), room.name)


def _roles_now(
    state: State, asking: int, room: Room, settings: Settings, at: int
) -> frozenset[Role]:
    session = state.sessions[asking]
    person = state.people[session.sender]
    return in_room(at, person, room, guest_address(person, session, settings))


def ping(case: Case, frame: Ping) -> None:
    """The barrier."""
    pong(case.plan, case.task)


def pong(plan: Plan, task: Task) -> None:
    """The same for a whole gateway."""
    plan.answer(task, Pong(0), kept=False)


def status(case: Case, frame: frames.Status) -> None:
    """How the cluster is."""
    case.may(Action.LOOK_AROUND)
    _later(case.plan, case.task, lambda view: view.report())


# --- logs -------------------------------------------------------------------------------------


def history(case: Case, frame: History) -> None:
    """A page of a room's log."""
    room = find(case, frame.room)
    case.may_in(reading(room), room)
    check_cursor(case.plan, room, frame.after, frame.epoch)
    plan, after, before = case.plan, frame.after, frame.before
    plan.readings.append(Reading(case.task, room.id, after, before, frame.limit, plan.at))


def fetch(plan: Plan, task: Task, frame: Fetch) -> None:
    """A gateway lacks a stretch of a room's log."""
    if frame.room_id not in plan.state.rooms:
        raise Refused(Code.NO_SUCH_ROOM, "there is no such room")
    limit = max(1, min(frame.limit, FETCH_LIMIT))
    plan.readings.append(Reading(task, frame.room_id, frame.after, None, limit))


def search(case: Case, frame: Search) -> None:
    """Messages by their words, in all that the person may read.

    Raises:
        Refused: it cannot be understood, or names somebody or a room that is not there.
    """
    case.may(Action.LOOK_AROUND)
    plan, wanted = case.plan, query.parse(frame.text)
    sender = find_person(case, wanted.sender).sender if wanted.sender else 0
    room = 0
    if wanted.room:
        there = find(case, wanted.room.removeprefix("#"))
        case.may_in(reading(there), there)
        room = there.id
    plan.searches.append(
        Searching(
            case.task,
            wanted,
            room,
            sender,
            case.person.rooms,
            frozenset(_barred(case)),
            frame.before,
            frame.limit,
            frame.context,
        )
    )


def _barred(case: Case) -> Iterator[int]:
    """Public rooms whose bans keep the person out."""
    state, plan = case.plan.state, case.plan
    for id in state.restricted | plan.drafts.keys():
        room = plan.room(id)
        if room.has_restrictions and Role.BANNED in case.roles_in(room):
            yield id


def readable(
    state: State, session: int, rooms: Iterable[int], settings: Settings, at: int
) -> set[int]:
    """Those of the rooms that whoever has the session may read at a time."""
    if session not in state.sessions:
        return set()
    there = (state.rooms[id] for id in rooms if id in state.rooms)
    return {
        room.id
        for room in there
        if not room.closed and allows(reading(room), _roles_now(state, session, room, settings, at))
    }


# --- rooms ------------------------------------------------------------------------------------


def members(case: Case, frame: Members) -> None:
    """Who is in a room."""
    room = find(case, frame.room)
    case.may_in(reading(room), room)
    id, sender, offline = room.id, case.person.sender, frame.offline
    session, at = case.session.id, case.plan.at

    def answer(view: View) -> Reply:
        state = view.state
        there = state.rooms[id]
        check_still(view, session, there, at)
        listed = people(state, there)
        if offline:
            absent = (state.people[each] for each in sorted(there.members - there.roster.keys()))
            listed += [shown(each, there.rank_of(each.sender)) for each in absent if each.account]
        return roster_of(state.epoch, own_state(state, there, sender), listed)

    _later(case.plan, case.task, answer)


def restrictions(case: Case, frame: Restrictions) -> None:
    """Who is banned from a room or muted in it."""
    room = find(case, frame.room)
    if room.kind is RoomKind.DIRECT:
        raise Refused(Code.NOT_ALLOWED, "a conversation of two has no operators")
    case.may_in(Action.RESTRICTIONS, room)
    at = case.plan.at
    listed = [
        frames.Restriction(each.kind, each.name, each.by, each.at, told(each.until), each.text)
        for each in room.all_restrictions()
        if each.until > at
    ]
    case.plan.answer(case.task, frames.RestrictionList(0, room.name, listed), kept=False)


def rooms(case: Case, frame: frames.Rooms) -> None:
    """The rooms that the person may see, by name."""
    case.may(Action.LOOK_AROUND)
    person, at, address = case.person, case.plan.at, case.ban_address()
    after, limit, wanted = frame.after, frame.limit, frame.search.casefold()

    def answer(view: View) -> Reply:
        state = view.state
        now = state.people.get(person.sender, person)
        begin = bisect.bisect_right(state.directory, name_key(after)) if after else 0
        listed: list[RoomInfo] = []
        for looked_at, key in enumerate(state.directory[begin : begin + LOOKED_AT + 1]):
            room = state.rooms[state.room_keys[key]]
            if looked_at == LOOKED_AT and listed:
                return RoomList(0, listed, True)
            if wanted and not _matches(room.name, room.title, wanted):
                continue  # before it costs more: of a large directory nearly all are passed over
            info = _info(room, in_room(at, now, room, address))
            if info is not None and _matches(info.room, info.title, wanted):
                if len(listed) == limit:  # only a room that would be shown is told to be there
                    return RoomList(0, listed, True)
                listed.append(info)
        return RoomList(0, listed)

    _later(case.plan, case.task, answer)


def _info(room: Room, roles: frozenset[Role]) -> RoomInfo | None:
    private = room.kind is not RoomKind.PUBLIC
    if allows(reading(room), roles):
        joined = bool(roles & {Role.OWNER, Role.OPERATOR, Role.MEMBER, Role.MUTED})
        return RoomInfo(room.name, room.head, len(room.roster), room.title, private, joined)
    if private and allows(Action.SEE_PRIVATE, roles):
        return RoomInfo(room.name, private=True)
    return None


def _matches(name: str, title: str, wanted: str) -> bool:
    return not wanted or wanted in name.casefold() or wanted in title.casefold()


def unread(case: Case, frame: frames.Unread) -> None:
    """The rooms that the person is in."""
    case.may(Action.LOOK_AROUND)
    sender = case.person.sender

    def answer(view: View) -> Reply:
        state = view.state
        person = state.people.get(sender)
        inside = sorted(person.rooms) if person is not None else []
        return States(0, [own_state(state, state.rooms[id], sender) for id in inside])

    _later(case.plan, case.task, answer)


# --- people -----------------------------------------------------------------------------------


def peers(case: Case, frame: Peers) -> None:
    """Who can be talked to; with addresses for operators of the cluster."""
    case.may(Action.LOOK_AROUND)
    after, limit, sender = frame.after, frame.limit, case.person.sender

    def answer(view: View) -> Reply:
        state = view.state
        operator = state.people[sender].is_operator
        keys = state.present()
        begin = bisect.bisect_right(keys, name_key(after)) if after else 0
        some = keys[begin : begin + limit]
        listed = [_peer(view, state.people[state.names[key]], operator) for key in some]
        return PeerList(0, listed, len(keys) > begin + limit)

    _later(case.plan, case.task, answer)


def _peer(view: View, person: Person, operator: bool) -> Peer:
    sessions = [view.state.sessions[id] for id in person.sessions]
    newest = max(
        (each for each in sessions if each.visible),
        key=lambda each: (-each.presence, each.id),
    )
    return Peer(
        person.name,
        person.sender,
        person.state,
        newest.gateway,
        person.away,
        person.account is not None,
        newest.address if operator else "",
    )


# --- what the store has read ------------------------------------------------------------------


def bounded(rows: Sequence[EventRow], newest_first: bool) -> list[EventRow]:
    """As many of the rows as a page may hold, oldest first, at least one."""
    kept: list[EventRow] = []
    size = 0
    for row in rows:
        size += len(row.body)
        if kept and size > PAGE_BYTES:
            break
        kept.append(row)
    if newest_first:
        kept.reverse()
    return kept


def answer_reading(view: View, wanted: Reading, rows: Sequence[EventRow]) -> Answer:
    """The answer to a reading; `rows` are in the order in which the log was read."""
    no, frame = wanted.task.ask.no, wanted.task.ask.frame
    backwards = wanted.after is None
    kept = bounded(rows, backwards)
    room = view.state.rooms[wanted.room]
    if isinstance(frame, Fetch):
        return Answer(
            no, Fetched(room.id, [(row.seq, row.kind, row.body) for row in kept], room.head)
        )
    if not isinstance(frame, History):
        return Answer(no, Error(Code.INTERNAL, "not a read"))
    try:
        check_still(view, wanted.task.ask.session, room, wanted.at)
    except Refused as refused:
        return Answer(no, Error(refused.code, refused.text))
    if backwards:
        more = bool(kept) and kept[0].seq > room.first
    else:
        # An empty page at a cursor below the first number that is kept: nothing is left to read.
        more = bool(kept) and kept[-1].seq < room.head
    events = [msgspec.Raw(row.body) for row in kept]
    return Answer(no, Page(0, room.name, events, room.head, room.first, view.state.epoch, more))


def answer_audit(wanted: Auditing, rows: Sequence[tuple[int, AuditRow]]) -> Answer:
    """The answer to a look at the audit log; `rows` are numbered, the newest first, one more
    than was asked for where there are more. It gives as many as an answer may hold.
    """
    entries: list[AuditEntry] = []
    size = 0
    for number, row in rows[: wanted.limit]:
        size += len(row.text.encode())  # of an announcement up to 64 KiB
        if entries and size > PAGE_BYTES:
            break
        entries.append(AuditEntry(number, row.at, row.by_name, row.action, row.target, row.text))
    return Answer(wanted.task.ask.no, AuditLog(0, entries, len(rows) > len(entries)))

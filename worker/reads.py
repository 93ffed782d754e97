"""Answers that change nothing: logs, rosters, lists, how the cluster is. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

import msgspec

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.frames import (
    Error,
    History,
    Members,
    Page,
    Peer,
    PeerList,
    Peers,
    Ping,
    Pong,
    RoomInfo,
    RoomList,
    Roster,
)
from hubbub.wire import Answer, Fetch, Fetched
from worker.access import check
from worker.plan import Plan, Reading, Reply, Task, View, people
from worker.records import EventRow, Presence, Session, key_of
from worker.rooms import check_cursor, find, role_in

PAGE_BYTES = 256 * 1024  # of the events in one page; one event is always given
FETCH_LIMIT = 2000


def read(plan: Plan, task: Task, session: Session | None) -> None:
    """Answer one read.

    Raises:
        Refused: there is no such room, or it may not be read.
    """
    frame = task.ask.frame
    if isinstance(frame, Ping):
        plan.answer(task, Pong(0), kept=False)
    elif isinstance(frame, History) and session is not None:
        room = find(plan, frame.room)
        check(History, role_in(session, room), room.name)
        check_cursor(plan, room, frame.after, frame.epoch)
        plan.readings.append(Reading(task, room.id, frame.after, frame.before, frame.limit))
    elif isinstance(frame, Members) and session is not None:
        room = find(plan, frame.room)
        check(Members, role_in(session, room), room.name)
        id = room.id
        _later(plan, task, lambda view: _members(view, id))
    elif isinstance(frame, frames.Rooms):
        after, limit = frame.after, frame.limit
        _later(plan, task, lambda view: _rooms(view, after, limit))
    elif isinstance(frame, Peers):
        after, limit = frame.after, frame.limit
        _later(plan, task, lambda view: _peers(view, after, limit))
    elif isinstance(frame, frames.Status):
        _later(plan, task, lambda view: view.report())
    else:
        raise Refused(Code.NOT_ALLOWED, "that is not allowed here")


def fetch(plan: Plan, task: Task, frame: Fetch) -> None:
    """A gateway lacks a stretch of a room's log."""
    if frame.room_id not in plan.state.rooms:
        raise Refused(Code.NO_SUCH_ROOM, "there is no such room")
    limit = max(1, min(frame.limit, FETCH_LIMIT))
    plan.readings.append(Reading(task, frame.room_id, frame.after, None, limit))


def _later(plan: Plan, task: Task, reply: Callable[[View], Reply]) -> None:
    no = task.ask.no
    plan.answer_later(task, lambda view: Answer(no, reply(view)), kept=False)


def _members(view: View, id: int) -> Roster:
    room = view.state.rooms[id]
    here = people(view.state, room)
    return Roster(0, room.name, room.head, room.first, room.count, view.state.epoch, here)


def _rooms(view: View, after: str, limit: int) -> RoomList:
    state = view.state
    begin = bisect.bisect_right(state.directory, key_of(after)) if after else 0
    keys = state.directory[begin : begin + limit + 1]
    rooms = [state.rooms[state.room_keys[key]] for key in keys[:limit]]
    infos = [RoomInfo(room.name, room.head, len(room.roster)) for room in rooms]
    return RoomList(0, infos, len(keys) > limit)


def _peers(view: View, after: str, limit: int) -> PeerList:
    state = view.state
    keys = state.people()
    begin = bisect.bisect_right(keys, key_of(after)) if after else 0
    peers: list[Peer] = []
    for key in keys[begin:]:
        session = state.sessions[state.names[key]]
        if not session.visible or session.presence >= Presence.LEFT:
            continue
        if len(peers) == limit:
            return PeerList(0, peers, True)
        here = session.presence is Presence.HERE
        peers.append(
            Peer(session.name, session.sender, "here" if here else "gone", session.gateway)
        )
    return PeerList(0, peers)


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


def answer_reading(view: View, reading: Reading, rows: Sequence[EventRow]) -> Answer:
    """The answer to a reading; `rows` are in the order in which the log was read."""
    no, frame = reading.task.ask.no, reading.task.ask.frame
    backwards = reading.after is None
    kept = bounded(rows, backwards)
    room = view.state.rooms[reading.room]
    if isinstance(frame, Fetch):
        return Answer(
            no, Fetched(room.id, [(row.seq, row.kind, row.body) for row in kept], room.head)
        )
    if not isinstance(frame, History):
        return Answer(no, Error(Code.INTERNAL, "not a read"))
    if backwards:
        more = bool(kept) and kept[0].seq > room.first
    else:
        # An empty page at a cursor below the first number that is kept: nothing is left to read.
        more = bool(kept) and kept[-1].seq < room.head
    events = [msgspec.Raw(row.body) for row in kept]
    return Answer(no, Page(0, room.name, events, room.head, room.first, view.state.epoch, more))

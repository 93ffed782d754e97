"""What a turn will change, laid over what is remembered, until it is stored and applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from hubbub import frames
from hubbub.errors import EpochChanged, Refused
from hubbub.frames import Error, RoomState
from hubbub.settings import Settings
from hubbub.wire import Answer, Ask, Fetched, Item, Kind, Snapshot, Sync
from worker.records import Done, EventRow, Presence, Room, Session
from worker.state import State


class Task(NamedTuple):
    """One ask of one gateway, in its turn."""

    gateway: str
    ask: Ask
    again: bool = False  # a read whose answer was lost: it proves nothing about its session
    everywhere: bool = False  # it was asked again: the answer goes through every broker


class Reading(NamedTuple):
    """A stretch of a room's log that the store reads for an answer, once all is written."""

    task: Task
    room: int
    after: int | None
    before: int | None
    limit: int


class View(NamedTuple):
    """What an answer is made from: everything as it is at the position that it will carry."""

    state: State
    settings: Settings
    report: Callable[[], frames.Report]
    snapshots: dict[int, Snapshot]  # made so far; cleared when the state moves


Reply: TypeAlias = frames.Reply | Fetched
# Made when the turn has been applied, and made anew when the answer has to be repeated.
Later: TypeAlias = Callable[[View], Answer]
Outcome: TypeAlias = Answer | Later


class Answered(NamedTuple):
    """The outcome of one task. `kept`: it changed something, so it must not be done again."""

    task: Task
    outcome: Outcome
    kept: bool


class Draft:
    """A room as the turn will leave it."""

    __slots__ = ("count", "first", "head", "id", "key", "name", "new", "size")

    def __init__(self, room: Room, *, new: bool = False) -> None:
        self.id = room.id
        self.name = room.name
        self.key = room.key
        self.head = room.head
        self.first = room.first
        self.count = room.count
        self.size = len(room.members)
        self.new = new


class Known(NamedTuple):
    """What the store looked up before the turn was decided."""

    done: Mapping[tuple[int, bytes], Done]
    over: Mapping[int, int]  # ended session -> its sender


class Plan:
    """The changes of one turn. The state below it is only read; `apply` makes them true.

    Args:
        state: what is true now.
        known: what the store holds of the requests of this turn.
        at: milliseconds since 1970, for people.
        now: the monotonic clock, for deadlines.
    """

    def __init__(self, state: State, known: Known, *, at: int, now: float) -> None:
        self.state = state
        self.known = known
        self.at = at
        self.now = now
        self.next_session = state.next_session
        self.next_sender = state.next_sender
        self.next_room = state.next_room
        self.sessions: dict[int, Session | None] = {}
        self.names: dict[str, int | None] = {}
        self.drafts: dict[int, Draft] = {}
        self.new_rooms: dict[str, int] = {}
        self.events: list[EventRow] = []
        self.done: dict[tuple[int, bytes], Done] = {}
        self.items: list[Item] = []
        self.answers: list[Answered] = []
        self.readings: list[Reading] = []
        self.synced: list[tuple[Sync, list[int]]] = []  # and its sessions that are over

    @property
    def changes(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.sessions or self.drafts or self.done)

    # --- looking --------------------------------------------------------------------------

    def session(self, id: int) -> Session | None:
        """The living session `id`."""
        if id in self.sessions:
            return self.sessions[id]
        return self.state.sessions.get(id)

    def named(self, key: str) -> int | None:
        """The session that holds a name."""
        if key in self.names:
            return self.names[key]
        return self.state.names.get(key)

    def room_id(self, key: str) -> int | None:
        """The room of that name."""
        return self.new_rooms.get(key) or self.state.room_keys.get(key)

    def room(self, id: int) -> Draft | Room:
        """A room, to look at its numbers."""
        return self.drafts.get(id) or self.state.rooms[id]

    def done_before(self, sender: int, id: bytes) -> Done | None:
        """What this id of this person has led to, also earlier in this turn."""
        return self.done.get((sender, id)) or self.known.done.get((sender, id))

    # --- changing -------------------------------------------------------------------------

    def draft(self, id: int) -> Draft:
        """A room, to change its numbers."""
        draft = self.drafts.get(id)
        if draft is None:
            draft = self.drafts[id] = Draft(self.state.rooms[id])
        return draft

    def add_room(self, name: str, key: str) -> Draft:
        """A new room; its id is never used again."""
        draft = Draft(Room(self.next_room, name, key), new=True)
        self.next_room += 1
        self.drafts[draft.id] = draft
        self.new_rooms[key] = draft.id
        return draft

    def put_session(self, session: Session) -> None:
        """Add a session or change it."""
        old = self.session(session.id)
        if old is None or old.key != session.key:
            if old is not None and self.named(old.key) == old.id:
                self.names[old.key] = None
            self.names[session.key] = session.id
        self.sessions[session.id] = session

    def end_session(self, session: Session) -> None:
        """End a session: its name is free, its rooms are left."""
        for id in session.rooms:
            self.draft(id).size -= 1
        if self.named(session.key) == session.id:
            self.names[session.key] = None
        self.sessions[session.id] = None

    def append(self, draft: Draft, kind: Kind, sender: int, body: bytes) -> int:
        """Put one entry into a room's log; `draft` has its number already. Returns the number."""
        seq = draft.head
        self.events.append(EventRow(draft.id, seq, kind, sender, self.at, draft.count, body))
        self.items.append(Item(kind, draft.id, seq, sender, body))
        return seq

    # --- answering ------------------------------------------------------------------------

    def answer(self, task: Task, reply: Reply, *, kept: bool = True) -> None:
        """Answer with what is known now."""
        self.answers.append(Answered(task, Answer(task.ask.no, reply), kept))

    def answer_later(self, task: Task, outcome: Later, *, kept: bool) -> None:
        """Answer with what is true when the turn has been applied."""
        self.answers.append(Answered(task, outcome, kept))

    def refuse(self, task: Task, refused: Refused) -> None:
        """Answer that it was not done. Not kept: asked again, it may be possible."""
        epoch, head = 0, 0
        if isinstance(refused, EpochChanged):
            epoch, head = refused.epoch, refused.head
        error = Error(
            refused.code,
            refused.text,
            None,
            retry_after=refused.retry_after,
            epoch=epoch,
            head=head,
        )
        self.answers.append(Answered(task, Answer(task.ask.no, error), True))

    # --- making it true -------------------------------------------------------------------

    def apply(self) -> None:
        """Change the state, now that all of it is stored."""
        state = self.state
        state.next_session = self.next_session
        state.next_sender = self.next_sender
        state.next_room = self.next_room
        for draft in self.drafts.values():
            if draft.new:
                state.add_room(Room(draft.id, draft.name, draft.key))
            room = state.rooms[draft.id]
            state.events += draft.head - room.head
            room.head, room.count = draft.head, draft.count
        # Names pass on within a turn: those that are freed go first.
        for id, session in self.sessions.items():
            if session is None:
                state.end_session(id)
        for session in self.sessions.values():
            if session is not None:
                state.put_session(session, self.now)


def snapshot(view: View, room: Room) -> Snapshot:
    """A room for a gateway that begins to follow it.

    Made once: after a gateway's death all its people resume into the same rooms at once.
    """
    made = view.snapshots.get(room.id)
    if made is None:
        roster = people(view.state, room)
        made = Snapshot(room.id, room.name, room.head, room.first, room.count, roster)
        view.snapshots[room.id] = made
    return made


def people(state: State, room: Room) -> list[frames.Person]:
    """Who is seen in a room, in the order in which they came."""
    sessions = state.sessions
    return [
        frames.Person(
            session.sender, session.name, "here" if session.presence is Presence.HERE else "gone"
        )
        for session in (sessions[id] for id in room.roster)
    ]


def room_state(room: Room) -> RoomState:
    """Where a room stands."""
    return RoomState(room.name, room.head, room.first, room.count)

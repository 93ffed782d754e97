"""What a turn will change, laid over what is remembered, until it is stored and applied."""

from __future__ import annotations

import math

from hubbub import names
from hubbub.errors import EpochChanged, Refused
from hubbub.frames import Error
from hubbub.wire import Answer, Item, Kind
from worker.draft import Draft
from worker.records import (
    NO_MARK,
    AuditRow,
    Decided,
    Device,
    Done,
    EventRow,
    Mark,
    Person,
    Rank,
    Room,
    RoomKind,
    Session,
)
from worker.state import State
from worker.tasks import (
    Answered,
    Auditing,
    Known,
    Later,
    Reading,
    Reply,
    Rewrite,
    Searching,
    Synced,
    Task,
)


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
        self.next_device = state.next_device
        self.people: dict[int, Person | None] = {}
        self.sessions: dict[int, Session | None] = {}
        self.names: dict[str, int | None] = {}
        self.skeletons: dict[str, int | None] = {}
        self.devices: dict[int, Device | None] = {}
        self.drafts: dict[int, Draft] = {}
        self.room_keys: dict[str, int | None] = {}
        self.invited: dict[int, set[int]] = {}  # rooms by sender
        self.marks: dict[tuple[int, int], Mark] = {}
        self.mentions: dict[tuple[int, int], tuple[int, ...]] = {}
        self.events: list[EventRow] = []
        self.rewrites: dict[tuple[int, int], Rewrite] = {}
        self.reactions: dict[tuple[int, int, int, str], bool] = {}
        self.audit: list[AuditRow] = []
        self.done: dict[tuple[int, bytes], Done] = {}
        self.refused: set[int] = set()  # sessions, of which a request was
        self.decided: dict[int, Decided] = {}  # by session
        self.items: list[Item] = []
        self.answers: list[Answered] = []
        self.readings: list[Reading] = []
        self.audits: list[Auditing] = []
        self.searches: list[Searching] = []
        self.synced: list[Synced] = []

    @property
    def changes(self) -> bool:
        """Whether there is anything to store."""
        return bool(
            self.sessions or self.drafts or self.done or self.people or self.marks or self.devices
        )

    # --- looking --------------------------------------------------------------------------

    def person(self, sender: int) -> Person | None:
        """The guest or account of that sender number."""
        if sender in self.people:
            return self.people[sender]
        return self.state.people.get(sender)

    def session(self, id: int) -> Session | None:
        """The living session `id`."""
        if id in self.sessions:
            return self.sessions[id]
        return self.state.sessions.get(id)

    def sessions_of(self, person: Person) -> list[Session]:
        """The living sessions of a person, the oldest first."""
        found = (self.session(id) for id in sorted(person.sessions))
        return [each for each in found if each is not None]

    def named(self, key: str) -> int | None:
        """The person that holds a name."""
        if key in self.names:
            return self.names[key]
        return self.state.names.get(key)

    def looks_like(self, name: str) -> int | None:
        """The person whose name looks like `name`."""
        skeleton = names.skeleton(name)
        if skeleton in self.skeletons:
            return self.skeletons[skeleton]
        return self.state.skeletons.get(skeleton)

    def room_id(self, key: str) -> int | None:
        """The room of that name."""
        if key in self.room_keys:
            return self.room_keys[key]
        return self.state.room_keys.get(key)

    def room(self, id: int) -> Draft | Room:
        """A room, to look at it."""
        return self.drafts.get(id) or self.state.rooms[id]

    def is_member(self, sender: int, room: int) -> bool:
        """Whether a person is in a room."""
        person = self.person(sender)
        return person is not None and room in person.rooms

    def talks_of(self, sender: int) -> set[int]:
        """The conversations of two of somebody, also those that they have left."""
        none: set[int] = set()
        begun = {
            draft.id
            for draft in self.drafts.values()
            if draft.new and sender in (names.direct_pair(draft.key) or ())
        }
        return self.state.talks.get(sender, none) | begun

    def invited_to(self, sender: int) -> set[int]:
        """The rooms that somebody was invited to; not all of them may wait for an answer still."""
        none: set[int] = set()
        return self.state.invited_to.get(sender, none) | self.invited.get(sender, none)

    def mark(self, sender: int, room: int) -> Mark:
        """How far somebody has read a room."""
        key = sender, room
        return self.marks.get(key) or self.state.marks.get(key, NO_MARK)

    def unread_mentions(self, sender: int, room: int) -> tuple[int, ...]:
        """Numbers of messages that name somebody and were not read."""
        key = sender, room
        found = self.mentions.get(key)
        return self.state.mentions.get(key, ()) if found is None else found

    def done_before(self, sender: int, id: bytes) -> Done | None:
        """What this id of this person has led to, also earlier in this turn."""
        return self.done.get((sender, id)) or self.known.done.get((sender, id))

    def entry(self, room: int, seq: int) -> EventRow | None:
        """An entry of a log that the turn is about, as it is by now."""
        row = self.known.rows.get((room, seq))
        draft = self.drafts.get(room)
        if row is None and draft is not None and draft.room.head < seq <= draft.head:
            this_turn = (each for each in self.events if each.room == room and each.seq == seq)
            row = next(this_turn, None)
        rewrite = self.rewrites.get((room, seq))
        return row._replace(body=rewrite.body) if row is not None and rewrite else row

    def has_reacted(self, key: tuple[int, int, int, str]) -> bool:
        """Whether a reaction stands: (room, number, sender, reaction)."""
        found = self.reactions.get(key)
        return key in self.known.reactions if found is None else found

    def device(self, id: int) -> Device | None:
        """The device `id`."""
        if id in self.devices:
            return self.devices[id]
        return self.state.devices.get(id)

    def devices_of(self, sender: int) -> list[Device]:
        """Where an account is logged in, the oldest first."""
        ids = self.state.devices_of.get(sender, set()) | self.devices.keys()
        found = (self.device(id) for id in sorted(ids))
        return [each for each in found if each is not None and each.sender == sender]

    def was_refused(self, task: Task) -> bool:
        """Whether an owner before has refused it, if it is not known as done."""
        decided = self.state.decided.get(task.ask.session)
        return decided is not None and decided.gateway == task.gateway and task.ask.no <= decided.no

    # --- changing -------------------------------------------------------------------------

    def draft(self, id: int) -> Draft:
        """A room, to change it."""
        draft = self.drafts.get(id)
        if draft is None:
            draft = self.drafts[id] = Draft(self.state.rooms[id])
        return draft

    def add_room(self, name: str, key: str, kind: RoomKind) -> Draft:
        """A new room; its id is never used again."""
        draft = Draft(Room(self.next_room, name, key, kind=kind), new=True)
        self.next_room += 1
        self.drafts[draft.id] = draft
        self.room_keys[key] = draft.id
        return draft

    def close_room(self, draft: Draft) -> None:
        """A room is no more; its name is free."""
        draft.closed = draft.changed = True
        self.room_keys[draft.key] = None

    def put_person(self, person: Person) -> None:
        """Add a person or change the record."""
        old = self.person(person.sender)
        if old is None or old.key != person.key or old.name != person.name:
            if old is not None:
                self._free_name(old)
            self.names[person.key] = person.sender
            self.skeletons[names.skeleton(person.name)] = person.sender
        self.people[person.sender] = person

    def drop_person(self, person: Person) -> None:
        """A guest is gone for good."""
        self._free_name(person)
        self.people[person.sender] = None

    def _free_name(self, person: Person) -> None:
        if self.named(person.key) == person.sender:
            self.names[person.key] = None
        skeleton = names.skeleton(person.name)
        if self.looks_like(person.name) == person.sender:
            self.skeletons[skeleton] = None

    def put_session(self, session: Session) -> None:
        """Add a session or change it."""
        self.sessions[session.id] = session

    def note_done(self, task: Task, key: tuple[int, bytes], done: Done, within: float) -> None:
        """Keep what a request has led to.

        Args:
            key: sender and id.
            within: seconds after which no gateway asks any more for what was refused.
        """
        self.done[key] = done
        session = task.ask.session
        refused = self.state.refused.get(session, -math.inf)
        if session in self.refused or self.now - refused < within:
            self.decided[session] = Decided(task.gateway, task.ask.no)

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
        epoch, head, room = 0, 0, ""
        if isinstance(refused, EpochChanged):
            epoch, head, room = refused.epoch, refused.head, refused.room
        error = Error(
            refused.code,
            refused.text,
            None,
            retry_after=refused.retry_after,
            epoch=epoch,
            head=head,
            room=room,
        )
        self.answers.append(Answered(task, Answer(task.ask.no, error), True))
        self.refused.add(task.ask.session)

    # --- making it true -------------------------------------------------------------------

    def apply(self) -> None:
        """Change the state, now that all of it is stored."""
        state = self.state
        state.next_session = self.next_session
        state.next_sender = self.next_sender
        state.next_room = self.next_room
        state.next_device = self.next_device
        for draft in self.drafts.values():
            self._apply_draft(draft)
        self._apply_people()
        for draft in self.drafts.values():
            # After the people: who is a member no longer has no rank to lose.
            if not draft.closed:
                _apply_changes(state, state.rooms[draft.id], draft)
        state.note_refused(self.refused, self.now)
        for id, device in self.devices.items():
            if device is None:
                state.drop_device(id)
            else:
                state.put_device(device)
        for key, mark in self.marks.items():
            if key[0] in state.rooms[key[1]].members:
                state.marks[key] = mark
        for key, numbers in self.mentions.items():
            if numbers and key[0] in state.rooms[key[1]].members:
                state.mentions[key] = numbers
            else:
                state.mentions.pop(key, None)

    def _apply_draft(self, draft: Draft) -> None:
        state = self.state
        if draft.new:
            room = Room(draft.id, draft.name, draft.key, kind=draft.kind)
            state.add_room(room)
        room = state.rooms[draft.id]
        state.events += draft.head - room.head
        room.head, room.count = draft.head, draft.count
        room.kind, room.title = draft.kind, draft.title
        if draft.closed and not room.closed:
            state.close_room(room)

    def _apply_people(self) -> None:
        state = self.state
        # Names pass on within a turn: those that are freed go first.
        for sender, person in self.people.items():
            if person is None:
                state.drop_person(sender)
        for person in self.people.values():
            if person is not None:
                state.put_person(person)
        for id, session in self.sessions.items():
            if session is None:
                state.end_session(id)
        for session in self.sessions.values():
            if session is not None:
                state.put_session(session, self.now)


def _apply_changes(state: State, room: Room, draft: Draft) -> None:
    for sender, rank in draft.ranks.items():
        if rank > Rank.MEMBER and sender in room.members:
            room.ranks[sender] = rank
        else:
            room.ranks.pop(sender, None)
    for sender, former in draft.former.items():
        if former and sender not in room.members:
            room.former.add(sender)
        else:
            room.former.discard(sender)
    for key, restriction in draft.restrictions.items():
        state.put_restriction(room, key, restriction)
    for sender, invite in draft.invites.items():
        state.put_invite(room, sender, invite)

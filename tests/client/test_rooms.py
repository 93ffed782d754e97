"""The rules by which a client's rooms stay whole, against a small model of a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec
from hypothesis import given, settings, strategies as st

from hubbub.client_events import ClientEvent, Lacking, Notices, Personal, RoomLost
from hubbub.client_rooms import Rooms
from hubbub.frames import (
    Behind,
    ClientFrame,
    Error,
    History,
    Join,
    Joined,
    Members,
    Message,
    Page,
    Parted,
    Person,
    Presence,
    Reply,
    RoomState,
    Roster,
    encoder,
)

EPOCH = 7


class Model:
    """One room on a server, one client, and the stream between them, which a test may disturb."""

    def __init__(self) -> None:
        self.head = 0
        self.members = {1: "Radha"}
        self.live = True  # as the gateway sees it
        self.stream: deque[Callable[[], None]] = deque()  # what the client has yet to receive
        self.answers: deque[Callable[[], None]] = deque()  # true when decided, and yet to be sent
        self.events: list[ClientEvent] = []  # what the application read
        self.queue: deque[ClientEvent] = deque()
        self.refused = False
        self.refs = 0
        self.connection = 0
        self.rooms = Rooms(self._put, self._notice, self._ask)
        self.rooms.own.add(1)
        roster = Roster(0, "lobby", 0, epoch=EPOCH, members=self._people())
        self.rooms.joined(roster, None)

    # --- the application ------------------------------------------------------------------------

    def _put(self, event: ClientEvent, _: int) -> bool:
        if len(self.queue) >= 4:
            self.refused = True
            return False
        self.queue.append(event)
        return True

    def _notice(self, notice: Notices | Personal) -> None:
        raise AssertionError(f"nothing to tell: {notice}")

    def read(self) -> None:
        """The application reads what is there."""
        self.events += self.queue
        self.queue.clear()
        if self.refused:
            self.refused = False
            self.rooms.catch_up()

    # --- the server -----------------------------------------------------------------------------

    def _people(self) -> list[Person]:
        return [Person(sender, name) for sender, name in sorted(self.members.items())]

    def _message(self, seq: int) -> Message:
        return Message("lobby", seq, 9, "Rita", f"text {seq}", seq)

    def _send(self, call: Callable[[], None]) -> None:
        connection = self.connection
        self.stream.append(lambda: call() if connection == self.connection else None)

    def say(self, *, lost: bool = False, twice: bool = False) -> None:
        """Somebody says something; `lost`: the gateway does not send it to this client."""
        self.head += 1
        message = self._message(self.head)
        for _ in range(2 if twice else 1):
            if self.live and not lost:
                self._send(lambda: self.rooms.take(message, 50))

    def come_or_go(self) -> None:
        """Rita enters, or leaves."""
        change = "left" if self.members.pop(9, None) else "entered"
        if change == "entered":
            self.members[9] = "Rita"
        if self.live:
            presence = Presence("lobby", 9, "Rita", change)
            self._send(lambda: self.rooms.take_presence(presence, 50))

    def fall_behind(self) -> None:
        """The gateway stops sending the room."""
        if self.live:
            self.live = False
            behind = Behind("lobby", self.head + 1, self.head, EPOCH)
            self._send(lambda: self.rooms.take_behind(behind))

    def _ask(self, make: Callable[[int], ClientFrame], taken: Callable[[Reply], None]) -> None:
        self.refs += 1
        frame = make(self.refs)
        if isinstance(frame, History):
            assert frame.after is not None
            last = min(frame.after + min(frame.limit, 3), self.head)
            events = [
                msgspec.Raw(encoder.encode(self._message(seq)))
                for seq in range(frame.after + 1, last + 1)
            ]
            more = last < self.head
            reply = Page(frame.ref, "lobby", events, self.head, epoch=EPOCH, more=more)
            self.answers.append(lambda: self._send_page(taken, reply, last))
        else:
            assert isinstance(frame, Members | Join)
            self.answers.append(lambda: self._send_roster(taken, frame.ref))

    def _send_page(self, taken: Callable[[Reply], None], page: Page, last: int) -> None:
        if not self.live:
            self.live = last == self.head
            page = msgspec.structs.replace(page, more=not self.live, head=self.head)
        self._send(lambda: self._take(taken, page))

    def _send_roster(self, taken: Callable[[Reply], None], ref: int) -> None:
        # From the gateway's own copy: true where it stands in the stream.
        roster = Roster(ref, "lobby", self.head, epoch=EPOCH, members=self._people())
        self._send(lambda: self._take(taken, roster))

    def answer(self) -> None:
        """The server sends the next answer."""
        if self.answers:
            self.answers.popleft()()

    def _take(self, taken: Callable[[Reply], None], reply: Reply) -> None:
        taken(reply)
        self.rooms.catch_up()

    def receive(self) -> None:
        """The client receives the next thing."""
        if self.stream:
            self.stream.popleft()()
            self.rooms.catch_up()

    def reconnect(self) -> None:
        """The connection is lost with all that was on it; the session resumes on another."""
        self.connection += 1
        self.answers.clear()
        self.rooms.lost()
        room = self.rooms.find("LOBBY")
        assert room is not None
        self.live = room.cursor == self.head
        self.rooms.entered([RoomState("Lobby", self.head)], again=False, tell=True)
        self.rooms.catch_up()

    def settle(self) -> None:
        """Everything arrives, and the application reads it all."""
        while self.stream or self.queue or self.answers:
            self.answer()
            self.receive()
            self.read()


def lose(model: Model) -> None:
    model.say(lost=True)


ACTIONS: list[Callable[[Model], None]] = [
    Model.say,
    Model.say,
    Model.say,
    lose,
    lambda model: model.say(twice=True),
    Model.come_or_go,
    Model.fall_behind,
    Model.answer,
    Model.answer,
    Model.receive,
    Model.receive,
    Model.receive,
    Model.read,
    Model.reconnect,
]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=60))
def test_whatever_happens_the_log_is_shown_once_and_in_order(
    actions: list[Callable[[Model], None]],
) -> None:
    """“A reader has everything, or is told what it lacks.”"""
    model = Model()
    any_lost = lose in actions
    for action in actions:
        action(model)
    model.settle()
    if any_lost:
        model.say()  # a loss shows with the next number; before it, repair is the server's
        model.settle()
    shown = [event.seq for event in model.events if isinstance(event, Message)]
    assert shown == list(range(1, model.head + 1))


@settings(max_examples=400)
@given(st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=60))
def test_whatever_happens_who_is_there_is_known_and_told(
    actions: list[Callable[[Model], None]],
) -> None:
    model = Model()
    for action in actions:
        action(model)
    model.settle()
    room = model.rooms.find("lobby")
    assert room is not None
    assert sorted(room.roster) == sorted(model.members)
    changes = [event.change for event in model.events if isinstance(event, Presence)]
    assert changes == (["entered", "left"] * len(changes))[: len(changes)]
    assert (len(changes) % 2 == 1) == (9 in model.members)


class Moved(Model):
    """The same of an account, whom others put out of the room and let in again."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = True
        self.owed: list[int] = []  # numbers that were hers to see
        self.lacking: list[int] = []  # of which the client told that it cannot show them
        self.given_up: list[int] = []  # of these those of which it told the numbers
        self.unsent: list[int] = []  # what was said while she was behind

    def _notice(self, notice: Notices | Personal) -> None:
        if isinstance(notice, Lacking):
            self.lacking += range(notice.first, notice.last + 1)
            self.given_up += range(notice.first, notice.last + 1)
        if isinstance(notice, RoomLost):  # while she was away: nobody can tell how much it was
            self.lacking += range(max(self.seen(), default=0) + 1, max(self.owed, default=0) + 1)

    def seen(self) -> list[int]:
        """The numbers that were queued for the application."""
        return [one.seq for one in [*self.events, *self.queue] if isinstance(one, Message)]

    def say(self, *, lost: bool = False, twice: bool = False) -> None:
        if self.inside:
            self.owed.append(self.head + 1)
            self.unsent += [] if self.live else [self.head + 1]
        super().say(lost=lost, twice=twice)

    def put_out(self) -> None:
        """Rita puts her out."""
        if self.inside:
            if not self.live:
                self.lacking += self.unsent  # that there were more, `parted` does not tell
            self.inside = self.live = False
            self._send(lambda: self.rooms.take_parted(Parted("lobby", "kicked", "Rita")))

    def let_in(self) -> None:
        """She enters again, on another device."""
        if not self.inside:
            self.inside = self.live = True
            joined = Joined("lobby", self.head, epoch=EPOCH, members=self._people())
            self._send(lambda: self.rooms.take_joined(joined))

    def _send_page(self, taken: Callable[[Reply], None], page: Page, last: int) -> None:
        if self.inside:
            super()._send_page(taken, page, last)
        else:
            self._refuse(taken, page.ref)

    def _send_roster(self, taken: Callable[[Reply], None], ref: int) -> None:
        if self.inside:
            super()._send_roster(taken, ref)
        else:
            self._refuse(taken, ref)

    def _refuse(self, taken: Callable[[Reply], None], ref: int) -> None:
        error = Error("not_member", "join the room first", ref)
        self._send(lambda: self._take(taken, error))

    def reconnect(self) -> None:
        self.connection += 1
        self.answers.clear()
        self.rooms.lost()
        room = self.rooms.find("lobby")
        # A room that is new to the client goes on from its head; what was said before is history.
        if room is None:
            self.lacking += [seq for seq in self.owed if seq not in self.seen()]
        self.live = self.inside and (room is None or room.cursor == self.head)
        states = [RoomState("lobby", self.head)] if self.inside else []
        self.rooms.entered(states, again=False, tell=True)
        self.rooms.catch_up()


MOVES: list[Callable[[Moved], None]] = [
    Moved.say,
    Moved.say,
    Moved.say,
    Moved.come_or_go,
    Moved.fall_behind,
    Moved.put_out,
    Moved.let_in,
    Moved.answer,
    Moved.answer,
    Moved.receive,
    Moved.receive,
    Moved.read,
    Moved.reconnect,
]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(MOVES), min_size=5, max_size=60))
def test_whoever_is_put_out_and_let_in_again_is_shown_what_was_hers_once(
    moves: list[Callable[[Moved], None]],
) -> None:
    """“A reader has everything or is told what it lacks.”"""
    model = Moved()
    for move in moves:
        move(model)
    model.settle()
    if model.inside:
        model.say()  # the end: whatever the client holds to be the head, it hears of it
        model.settle()
    shown = model.seen()
    assert shown == sorted(set(shown))
    assert set(model.owed) <= {*shown, *model.lacking}
    assert set(shown).isdisjoint(model.given_up)
    assert (model.rooms.find("lobby") is not None) == model.inside

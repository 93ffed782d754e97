"""A client of a run: speaks the native protocol by the book, and notes all that it meets.

Each of its connections is a client of its own in the history, so that the checker demands of every
one that what it was shown goes on from its cursors without a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgpack

from hubbub import frames
from hubbub.frames import ClientFrame, encoder
from tests.faults import history
from tests.faults.history import AnyRecord
from tests.simulation.asking import Ask, join
from tests.simulation.cluster import Cluster
from tests.simulation.reading import Rooms
from tests.simulation.sockets import Socket
from tests.simulation.world import World
from worker.overtaking import LASTS

FIRST_BYTE = 1.0  # seconds until a connection that shows nothing is given up
SILENCE = 3.0  # seconds of it while an answer is owed, then the gateway is gone or frozen
LOOK_EVERY = 0.25  # seconds
MOST_TRIES = 12  # of one request that nobody can answer
LATER = frozenset({"unknown", "unavailable", "limit"})
OVER = frozenset({"replaced", "expired"})  # the session is not this connection's any more

Frame: TypeAlias = dict[str, Any]


class Device:
    """One client.

    Args:
        token: logs in as an account; empty: a guest.
        note: takes what goes into the history.
        find: takes what the history has no record for: kind, room, text.
        acknowledged: room -> the highest number that anybody was answered with.
        new_id: an id that nobody has used.
        newest: take the newest number for a cursor instead of the contiguous one (a mistake).
    """

    def __init__(
        self,
        name: str,
        person: str,
        cluster: Cluster,
        *,
        token: str,
        note: Callable[[AnyRecord], None],
        find: Callable[[str, str, str], None],
        acknowledged: dict[str, int],
        new_id: Callable[[], bytes],
        newest: bool = False,
    ) -> None:
        self.name = name
        self.person = person
        self.client = ""  # of the history: the connection
        self.sender = 0
        self.is_ready = False
        self.is_over = False
        self.asks: dict[bytes, Ask] = {}  # not done yet, in the order in which they were made
        self.rooms = Rooms(self, newest=newest)
        self.acknowledged = acknowledged
        self.find = find
        self.note = note
        self.world: World = cluster.world
        self._cluster = cluster
        self._account_token = token
        self._token = ""
        self._new_id = new_id
        self._greeting_id = new_id()
        self._guests = 0
        self._joins: list[str] = []  # of a guest's session that is over: to be joined again
        self._connections = 0
        self._socket: Socket | None = None
        self._unpacker = msgpack.Unpacker()
        self._ref = 0
        self._owed: dict[int, Callable[[Frame], None]] = {}
        self._asked: dict[bytes, int] = {}  # on this connection: id -> ref
        self._comings: dict[bytes, int] = {}  # id -> how often one was in a room when it was asked
        self._heard = 0.0
        self._dials = 0
        self.world.after(LOOK_EVERY * self.world.random.random(), self._look)

    @property
    def is_account(self) -> bool:
        """Whether it is one of an account's devices."""
        return bool(self._account_token)

    @property
    def is_quiet(self) -> bool:
        """Whether it waits for nothing."""
        if self.is_over:
            return True
        return self.is_ready and not self.asks and not self._owed and self.rooms.are_live

    # --- connecting -----------------------------------------------------------------------

    def connect(self) -> None:
        """Dial one of the gateways."""
        if self.is_over or self._socket is not None:
            return
        socket = Socket(self.world, self._data, self._end)
        if not self._cluster.dial(self.world.random.randrange(len(self._cluster.gateways)), socket):
            self._dial_again()
            return
        self._socket = socket
        self._unpacker = msgpack.Unpacker()
        self._heard = self.world.now
        self._greet()

    def _dial_again(self) -> None:
        self._dials += 1
        pause = min(1.0, 0.05 * 2 ** min(self._dials, 5))
        self.world.after(pause * (0.5 + self.world.random.random()), self.connect)

    def cut(self, why: str, *, silently: bool = False) -> None:
        """Drop the connection, and dial again."""
        if self._socket is None:
            return
        self._socket.close(silently=silently)
        self._lost(why)

    def stop_reading(self) -> None:
        """Take nothing that the gateway sends."""
        if self._socket is not None:
            self._socket.stop_reading()

    def go_on_reading(self) -> None:
        """Take it again."""
        if self._socket is not None:
            self._heard = self.world.now
            self._socket.go_on_reading()

    def _end(self) -> None:
        self._lost("closed by the gateway")

    def _lost(self, why: str) -> None:
        if self.is_ready:
            self.note(history.Cut(self.world.now, self.client, why))
        self.is_ready = False
        self._socket = None
        self._owed.clear()
        self._asked.clear()
        self.rooms.connection_lost()
        if not self.is_over:
            self._dial_again()

    def _look(self) -> None:
        """See whether the gateway lives."""
        if self.is_over:
            return
        if self._socket is not None:
            silent = self.world.now - self._heard
            if not self.is_ready and silent > FIRST_BYTE:
                self.cut("no welcome")
            elif self._owed and silent > SILENCE:
                self.cut("silence")
        self.world.after(LOOK_EVERY, self._look)

    # --- frames ---------------------------------------------------------------------------

    def send(self, frame: ClientFrame, answered: Callable[[Frame], None] | None) -> None:
        """Send a request whose `ref` is `next_ref`; `answered` takes what answers it."""
        if self._socket is None:
            return
        if not self._owed:
            self._heard = self.world.now
        if answered is not None:
            self._owed[self._ref] = answered
        self._socket.send(encoder.encode(frame))

    def next_ref(self) -> int:
        """For the request that is sent next."""
        self._ref += 1
        return self._ref

    def _data(self, data: bytes) -> None:
        self._heard = self.world.now
        socket = self._socket
        self._unpacker.feed(data)
        for frame in self._unpacker:
            self._frame(frame)
            if self._socket is not socket:
                return

    def _frame(self, frame: Frame) -> None:
        kind = frame["t"]
        if kind == "message" or kind == "event":
            self.rooms.entry(frame)
            return
        ref = frame.get("ref")
        if ref is not None:
            answered = self._owed.pop(ref, None)
            if answered is not None:
                answered(frame)
            else:
                self.find("answers", "", f"{self.client} was answered {kind} to {ref}, not asked")
            return
        match kind:
            case "behind":
                self.rooms.behind(frame)
            case "joined":
                self.rooms.enter(frame["room"], frame.get("head", 0), frame.get("private", False))
            case "parted":
                self.rooms.leave(frame["room"], frame.get("why", "parted"))
            case "error":
                self._ended_by(frame)

    def _ended_by(self, frame: Frame) -> None:
        """The gateway closes the connection."""
        if frame["code"] not in ("replaced", "expired", "timeout", "unavailable"):
            self.find("answers", "", f"{self.client} is closed: {frame['code']} {frame['text']}")
        self.cut(frame["code"])

    # --- sessions -------------------------------------------------------------------------

    def _greet(self) -> None:
        ref, id = self.next_ref(), self._greeting_id
        greeting: ClientFrame
        if self._token:
            cursors = self.rooms.cursors()
            greeting = frames.Resume(ref, id, self._token, self.rooms.epoch, cursors)
        elif self._account_token:
            greeting = frames.Login(ref, id, token=self._account_token)
        else:
            name = f"{self.name}x{self._guests}"
            greeting = frames.Hello(ref, id, name)
        self.send(greeting, self._greeted)

    def _greeted(self, frame: Frame) -> None:
        if frame["t"] == "welcome":
            self._welcomed(frame)
            return
        code = frame["code"]
        if code == "expired":
            # Also without a token: of a greeting that was answered, and the answer lost.
            self._session_is_over()
            self._greet()
        elif code == "name_taken":
            self._guests += 1
            self._greeting_id = self._new_id()
            self._greet()
        elif code in LATER or code == "replaced":
            self.cut(code)  # an older copy of this greeting went first
        else:
            self.find("answers", "", f"{self.name} was greeted with {code}: {frame['text']}")
            self.cut(code)

    def _session_is_over(self) -> None:
        """A new one has to be begun: an account goes on, a guest is somebody else."""
        self._token = ""
        self._greeting_id = self._new_id()
        if self.is_account:
            self.rooms.forget()
            return
        self._guests += 1
        self._give_up()
        self._joins += self.rooms.forget()

    def _welcomed(self, frame: Frame) -> None:
        now = self.world.now
        resumed = bool(self._token)
        self._token = frame["token"]
        self._greeting_id = self._new_id()
        self._dials = 0
        self.is_ready = True
        self.sender = frame["sender"]
        self._connections += 1
        self.client = f"{self.name}#{self._connections}"
        self.note(history.Client(now, self.client, self.person, self.sender, exact=True))
        self.note(history.Back(now, self.client, frame.get("gateway", ""), resumed))
        self.rooms.welcomed(frame)
        for ask in list(self.asks.values()):
            self._send_ask(ask)
        joins, self._joins = self._joins, []
        for name in joins:
            self.ask(join(self._new_id(), name))

    # --- asking ---------------------------------------------------------------------------

    def ask(self, ask: Ask) -> None:
        """Ask for something, now or when there is a connection."""
        self.asks[ask.id] = ask
        if self.is_ready:
            self._send_ask(ask)

    def _send_ask(self, ask: Ask) -> None:
        if ask.is_done:
            self.asks.pop(ask.id, None)
            return
        if not self.is_ready or ask.id in self._asked:
            return
        ask.sent += 1
        self._comings.setdefault(ask.id, self.rooms.comings)
        id = ask.id.hex()
        if ask.op != "bye":
            record = history.Asked(
                self.world.now, self.client, ask.op, id, ask.room, ask.text, ask.of
            )
            self.note(record)
        self.world.counts["asks"] += 1
        ref = self.next_ref()
        self._asked[ask.id] = ref
        ask.term, ask.at, ask.behind = self._cluster.term, self.world.now, None
        self.send(ask.make(ref), lambda frame: self._answered(ask, frame))

    def _answered(self, ask: Ask, frame: Frame) -> None:
        ref = self._asked.pop(ask.id, 0)
        code = frame["code"] if frame["t"] == "error" else ""
        if code == "unavailable":
            self._hold_back(ask, ref)
        if code in LATER and ask.tries < MOST_TRIES:
            ask.tries += 1
            pause = 0.1 + 0.4 * self.world.random.random()
            self.world.after(pause, self._send_ask, ask)
            return
        if code in OVER:
            return  # to be asked again, on the next connection
        self.asks.pop(ask.id, None)
        now, id = self.world.now, ask.id.hex()
        if ask.op == "bye":
            self._is_gone()
        elif code:
            # What was sent before, on other ways, may be done still, or be done already.
            certain = ask.sent == 1 and not ask.is_done and code not in LATER
            kind = history.Refused(now, self.client, id, code) if certain else None
            self.note(kind or history.Unknown(now, self.client, id))
        else:
            seq = frame.get("seq", 0) if frame["t"] == "ok" else 0
            self.note(history.Answered(now, self.client, id, seq))
            self._see_whether_it_overtook(ask)
            if seq:
                self.acknowledged[ask.room] = max(seq, self.acknowledged.get(ask.room, 0))
            comings = self._comings.pop(ask.id, -1)
            self.rooms.answered(ask, seq, frame, comings=comings)
        ask.is_done = True

    # --- what could not be stored ---------------------------------------------------------

    def _hold_back(self, refused: Ask, ref: int) -> None:
        """What was sent behind it, in one go, is to be refused by that owner, too."""
        for id, later in self._asked.items():
            ask = self.asks.get(id)
            if ask is not None and later > ref and ask.at == refused.at:
                ask.behind = ask.behind or refused

    def _see_whether_it_overtook(self, ask: Ask) -> None:
        refused = ask.behind
        if refused is None or ask.sent > 1 or ask.term != self._cluster.term:
            return  # perhaps it was done before, or by an owner that knows of no refusal
        is_kept = self.world.now < ask.at + LASTS
        if is_kept and not refused.is_done:
            first = f"{refused.op} {refused.text!r} in {refused.room}, which could not be stored"
            text = f"{self.client} had {ask.op} {ask.text!r} done before {first}"
            self.find("order", ask.room, text)

    def _give_up(self) -> None:
        """What was not answered never will be."""
        for ask in self.asks.values():
            if ask.sent and not ask.is_done and ask.op != "bye":
                ask.is_done = True
                self.note(history.Unknown(self.world.now, self.client, ask.id.hex()))
        self.asks.clear()

    def _is_gone(self) -> None:
        self.is_over = True
        self._give_up()
        self.note(history.Over(self.world.now, self.client, "bye"))
        self.cut("bye")

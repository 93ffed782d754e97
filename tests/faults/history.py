"""What a run leaves behind: everything that clients, faults and the cold reader noted, in order.

A history is all that the checker knows. It is made by real processes (tests/faults), and by the
simulation (tests/simulation). On disk it is one JSON map a line; `r` names the record.

Rooms go by the name that is the same for everybody (`@12:57` for a conversation of two). Times
(`at`) are seconds since the run began, of one clock for all: the machine's monotonic one, or the
simulation's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec


class Record(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="r", tag=str.lower):
    """Base of all records. The order of records of one client is the order in which it met them."""

    at: float


# --- what clients ask and are answered ------------------------------------------------------------


class Client(Record, frozen=True):
    """A client exists: one device of `person`, or one connection of a device that resumes by hand.

    `exact`: its answers and what it is shown are noted in the order in which they arrived. A client
    library hands out answers and events by different ways, so there the two may be noted the other
    way round; events among themselves never.
    """

    client: str  # unique in the run
    person: str  # the name that they came with
    sender: int
    exact: bool = False
    operator: bool = False  # of the cluster


class Asked(Record, frozen=True):
    """A client begins to ask for something that changes a room, or for another name.

    The same `id` again, by whatever client of the person: a retry, with the same content.
    """

    client: str
    op: str  # say, edit, delete, react, unreact, join, leave, kick, ban, topic, role, nick ...
    id: str  # hex
    room: str  # "" for what is not of a room: nick
    text: str = ""  # of `role` the role, of `nick` the name
    of: int = 0  # the message that is edited, deleted or reacted to
    to: str = ""  # the name of whom it is done to


class Answered(Record, frozen=True):
    """It was acknowledged; `seq` 0: done, but not in the log (a guest's join, an edit's repeat)."""

    client: str
    id: str
    seq: int = 0


class Refused(Record, frozen=True):
    """It was refused: nothing of it may be found."""

    client: str
    id: str
    code: str


class Unknown(Record, frozen=True):
    """Nobody could say: it may have been done, or not, or be done later."""

    client: str
    id: str


# --- what clients are shown -----------------------------------------------------------------------


class Entered(Record, frozen=True):
    """A client is told that it is in a room: what follows is above `head`."""

    client: str
    room: str
    head: int


class Shown(Record, frozen=True):
    """A client is shown one entry of a room, live or from a page it was told to fetch."""

    client: str
    room: str
    seq: int
    kind: str  # message, or the kind of an event
    sender: int
    text: str = ""
    of: int = 0
    to: str = ""  # a name, as the event has it


class Out(Record, frozen=True):
    """A client is told that it is not in a room any more. `why`: parted, kicked, lost ..."""

    client: str
    room: str
    why: str = ""


class Lacking(Record, frozen=True):
    """A client is told that it will not be shown first..last of a room."""

    client: str
    room: str
    first: int
    last: int


class Cut(Record, frozen=True):
    """A client has lost its connection."""

    client: str
    why: str = ""


class Back(Record, frozen=True):
    """A client has a connection again. `resumed`: as the same session."""

    client: str
    gateway: str
    resumed: bool


class Over(Record, frozen=True):
    """A client has ended, by itself or because it was told to."""

    client: str
    why: str = ""


# --- what the fault machine does ------------------------------------------------------------------


class Phase(Record, frozen=True):
    """From now on: `calm`, `faults`, `healing` (no fault any more), `settled` (all were silent)."""

    name: str


class Fault(Record, frozen=True):
    """Something is done to the cluster; `until`: when it was undone (0: nothing to undo)."""

    what: str
    target: str
    until: float = 0.0


# --- what is true afterwards ----------------------------------------------------------------------


class Kept(Record, frozen=True):
    """One entry of a room as the cold reader paged it, from number 1, after everything."""

    room: str
    seq: int
    kind: str
    sender: int
    text: str = ""  # an edited message has its newest text, a deleted one none
    of: int = 0
    whom: int = 0
    count: int = 0  # messages so far
    edited: int = 0  # a message: the event that gave it this text
    deleted: int = 0
    to: str = ""  # the name of `whom`; of `renamed` the new one


class Room(Record, frozen=True):
    """A room as the owner has it after everything, with the senders that are its members."""

    room: str
    head: int
    private: bool
    members: list[int]


class Standing(Record, frozen=True):
    """What a client that is still there believes of a room at the end, and what the owner says.

    `mine` and `true`: (member, head, mark, unread, mentions); head and all after it 0 without
    membership.
    """

    client: str
    room: str
    mine: tuple[int, int, int, int, int]
    true: tuple[int, int, int, int, int]


class Roster(Record, frozen=True):
    """Who is present in a room at the end: as one gateway has it, and who really is."""

    gateway: str
    room: str
    shown: list[str]
    true: list[str]


class Told(Record, frozen=True):
    """How a room is at the end: as a client that is still there believes, or as a new one is told.

    `people`: (sender, name, role) of whom it knows; role "" where it is told none.
    `restrictions`: "ban NAME" and "mute NAME", by the names of then; None: it was not told.
    """

    client: str  # of a new one: the gateway
    room: str
    title: str
    private: bool
    people: list[tuple[int, str, str]]
    restrictions: list[str] | None = None
    fresh: bool = False


AnyRecord: TypeAlias = (
    Client
    | Asked
    | Answered
    | Refused
    | Unknown
    | Entered
    | Shown
    | Out
    | Lacking
    | Cut
    | Back
    | Over
    | Phase
    | Fault
    | Kept
    | Room
    | Standing
    | Roster
    | Told
)

_decoder = msgspec.json.Decoder(AnyRecord)
_encoder = msgspec.json.Encoder()


class History:
    """Records in the order in which they were noted; in memory, and in a file if one is named.

    The file is for whoever wants to look into a run that failed; it is written as it happens.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.records: list[AnyRecord] = []
        self._file = path.open("wb") if path is not None else None

    def note(self, record: AnyRecord) -> None:
        """Add one."""
        self.records.append(record)
        if self._file is not None:
            self._file.write(_encoder.encode(record) + b"\n")

    def close(self) -> None:
        """Nothing follows."""
        if self._file is not None:
            self._file.close()


def read(path: Path) -> Iterator[AnyRecord]:
    """The records of a file.

    Raises:
        msgspec.MsgspecError: a line is none.
    """
    with path.open("rb") as lines:
        for line in lines:
            yield _decoder.decode(line)


def write(path: Path, records: Iterable[AnyRecord]) -> None:
    """Make a file of records."""
    with path.open("wb") as file:
        file.writelines(_encoder.encode(record) + b"\n" for record in records)

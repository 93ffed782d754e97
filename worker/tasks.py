"""What a turn is asked, and what it answers: values, made by the inbox and the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from hubbub import frames
from hubbub.settings import Settings
from hubbub.wire import Answer, Ask, Fetched, Snapshot, Sync
from worker.query import Query
from worker.records import Done, EventRow
from worker.state import State


class Task(NamedTuple):
    """One ask of one gateway, in its turn."""

    gateway: str
    ask: Ask
    again: bool = False  # a read whose answer was lost: it proves nothing about its session
    everywhere: bool = False  # it was asked again: the answer goes through every broker
    number: int = 0  # of its batch
    first: int = 0  # below it the gateway had all answers when it asked this; 0: not known


class Checked(NamedTuple):
    """A task whose password was looked at (worker/doorkeeper.py), before the rules decide it."""

    task: Task
    ok: bool  # the password is the one that `against` was made from; True with `register`
    sender: int  # of the account that it was checked against; 0: there is none of that name
    against: str  # its hash then: if the account has another by now, the check is void
    hashed: str = ""  # the hash to store from now on; empty: none


class Reading(NamedTuple):
    """A stretch of a room's log that the store reads for an answer, once all is written."""

    task: Task
    room: int
    after: int | None
    before: int | None
    limit: int
    at: int = 0  # when it was asked, in milliseconds since 1970: for bans that end


class Auditing(NamedTuple):
    """A stretch of the audit log, read likewise."""

    task: Task
    before: int
    limit: int


class Searching(NamedTuple):
    """A search, to be carried out beside the turns: task, then the fields of `searching.Search`."""

    task: Task
    query: Query
    room: int
    sender: int
    own: frozenset[int]
    barred: frozenset[int]
    below: int
    limit: int
    context: int


class Synced(NamedTuple):
    """A gateway's `Sync`, with its sessions that are over and those whose rooms are told anew."""

    frame: Sync
    over: list[int]
    differing: list[int]


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


class Rewrite(NamedTuple):
    """An entry of a log whose text is another one from now on."""

    body: bytes
    old: str | None = None  # the text of a message, as the search index has it; None: no message
    new: str = ""


class Known(NamedTuple):
    """What the store looked up before the turn was decided."""

    done: Mapping[tuple[int, bytes], Done]
    over: Mapping[int, int]  # ended session -> its sender
    rows: Mapping[tuple[int, int], EventRow] = {}  # entries that the turn is about
    reactions: frozenset[tuple[int, int, int, str]] = frozenset()  # room, number, sender, reaction

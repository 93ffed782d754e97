"""What the store has to look up before a turn's asks can be decided. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from hubbub.errors import Refused
from hubbub.frames import Delete, Edit, Hello, Login, React, Read, Resume, Say
from hubbub.wire import Sync
from worker.case import room_id
from worker.messages import check_reaction
from worker.state import State
from worker.tasks import Checked, Task


class GatewayGone(NamedTuple):
    """A gateway is dead, or hangs."""

    gateway: str


class TimePassed(NamedTuple):
    """Some deadline of a session may have come."""


class Syncing(NamedTuple):
    """A gateway's `Sync`, and the sessions that it may not know of yet."""

    frame: Sync
    spared: set[int]


Input: TypeAlias = Task | Checked | Syncing | GatewayGone | TimePassed


class Wanted(NamedTuple):
    """What is to be looked up. Of an entry that was edited the store finds the edit, too."""

    keys: list[tuple[int, bytes]]  # of requests: sender, id
    entries: list[tuple[int, int]]  # of logs: room, number
    reactions: list[tuple[int, int, int, str]]  # room, number, sender, reaction


def task_of(each: Input) -> Task | None:
    """The task in an input, if it is one's request."""
    if isinstance(each, Task):
        return each
    return each.task if isinstance(each, Checked) else None


def strangers(state: State, inputs: Sequence[Input]) -> set[int]:
    """Sessions that ask and do not live: the store may still know whose they were."""
    asking = (task.ask.session for each in inputs if (task := task_of(each)) is not None)
    return {session for session in asking if session and session not in state.sessions}


def wanted(state: State, inputs: Sequence[Input], over: Mapping[int, int]) -> Wanted:
    """All that must be looked up before these inputs are decided.

    Args:
        over: senders of the strangers among them.
    """
    found = Wanted([], [], [])
    sessions = state.sessions
    for each in inputs:
        task = task_of(each)
        if task is None:
            continue
        frame = task.ask.frame
        if isinstance(frame, Hello | Login):
            found.keys.append((0, frame.id))
            continue
        session = sessions.get(task.ask.session)
        sender = session.sender if session is not None else over.get(task.ask.session)
        if sender is None:
            continue
        id = getattr(frame, "id", None)
        if id is not None and not isinstance(frame, Resume):
            found.keys.append((sender, id))
        if isinstance(frame, Say):
            if frame.reply:
                _add_entry(state, found, sender, frame.room, frame.reply)
        elif isinstance(frame, Edit | Delete | Read):
            _add_entry(state, found, sender, frame.room, frame.seq)
        elif isinstance(frame, React):
            _add_reaction(state, found, sender, frame)
    return found


def _add_entry(state: State, found: Wanted, sender: int, name: str, seq: int) -> int | None:
    room = room_id(state, sender, name)
    if room is not None:  # else there is none, or it is made in this very turn
        found.entries.append((room, seq))
    return room


def _add_reaction(state: State, found: Wanted, sender: int, frame: React) -> None:
    room = _add_entry(state, found, sender, frame.room, frame.seq)
    if room is None:
        return
    with contextlib.suppress(Refused):
        found.reactions.append((room, frame.seq, sender, check_reaction(frame.reaction)))

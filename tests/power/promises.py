"""What must hold when the power is back: everything that was promised before the cut.

The database is opened as a worker does it. What it holds is then read and judged by this module
alone, from what clients were answered and from the log itself.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgpack

from tests.power.talk import Promise, Talk
from worker.active import KEY_FILE, NOTE_FILE
from worker.migrate import migrate
from worker.store import Store
from worker.version import SCHEMA, database_path, version_of

Frame: TypeAlias = dict[str, Any]
KEY_LENGTH = 43  # characters of the operator's key: 32 bytes in base64
DAMAGED = "damaged"  # instead of a frame's type


class Kept(NamedTuple):
    """What a database holds, room by room."""

    epoch: int
    rooms: dict[str, int]  # name -> id
    logs: dict[str, list[Frame]]  # by room, in the order of their numbers


def faults_of_data(data: Path, talk: Talk, cut_at: float) -> list[str]:
    """Every promise that a data directory breaks, as sentences; empty when it breaks none.

    Args:
        data: the directory as it was found when the power was back. It is changed: it is opened.
        cut_at: when the power was cut; what was answered by then is a promise.
    """
    path = database_path(data)
    made = [promise for promise in talk.promises if promise.at <= cut_at]
    found = list(_faults_of_key(data / KEY_FILE))
    try:
        epoch = _open(path, data / NOTE_FILE)
        raw = sqlite3.connect(path, isolation_level=None)
        try:
            found += _faults_of_form(raw)
            kept = _read(raw, epoch)
            found += faults_of_logs(kept, talk, made, cut_at)
            found += _faults_of_tables(raw, kept, made)
        finally:
            raw.close()
    except Exception as error:  # whatever it is, a worker dies of it
        found.append(f"it cannot be opened: {type(error).__name__}: {error}")
    return found


def _open(path: Path, note: Path) -> int:
    """Open it as its next owner does, and leave it; its epoch then."""
    if version_of(path) < SCHEMA:
        migrate(path)
    store = Store(path, note)
    try:
        store.take("whoever comes after the cut")
        return store.load(0.0).epoch
    finally:
        store.close()


def _faults_of_key(path: Path) -> Iterator[str]:
    if path.exists() and len(path.read_text(encoding="ascii").strip()) != KEY_LENGTH:
        yield f"{path.name} is there, and holds no key: nobody can be made an operator"


def _faults_of_form(raw: sqlite3.Connection) -> Iterator[str]:
    for (line,) in raw.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"integrity_check: {line}"
    try:
        raw.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        yield f"the search's index: {error}"


def _read(raw: sqlite3.Connection, epoch: int) -> Kept:
    rooms = {name: id for id, name in raw.execute("SELECT id, name FROM rooms")}
    names = {id: name for name, id in rooms.items()}
    logs: defaultdict[str, list[Frame]] = defaultdict(list)
    for room, seq, body in raw.execute("SELECT room, seq, body FROM events ORDER BY room, seq"):
        name = names.get(room, f"number {room}")
        logs[name].append(_entry(name, seq, body))
    return Kept(epoch, rooms, logs)


@functools.lru_cache(maxsize=4096)  # the same ones are read after every cut
def _entry(room: str, seq: int, body: bytes) -> Frame:
    try:
        frame: Frame = msgpack.unpackb(body)
        if (frame["room"], frame["seq"]) == (room, seq):
            return frame
    except (ValueError, KeyError, TypeError, msgpack.UnpackException):
        pass
    return {"t": DAMAGED, "seq": seq, "sender": 0}


# --- logs -----------------------------------------------------------------------------------------


def faults_of_logs(kept: Kept, talk: Talk, made: list[Promise], cut_at: float) -> list[str]:
    """What is wrong with the rooms' entries; it does not matter where they were read."""
    found: list[str] = []
    if made and kept.epoch != talk.epoch:
        found.append("the numbering was begun anew: every cursor is refused")
    texts: set[str] = set()
    for room, log in kept.logs.items():
        found += (f"{room}: {fault}" for fault in _faults_of_log(log, texts))
    unknown = [text for text in texts if talk.asked.get(text, cut_at + 1) > cut_at]
    found += (f"nobody had said {text[:20]!r}" for text in unknown)
    for promise in made:
        if promise.op in ("say", "edit", "delete"):
            found += _faults_of_entry(promise, kept.logs.get(promise.room, []))
    return found


def _faults_of_log(log: list[Frame], texts: set[str]) -> Iterator[str]:
    numbers = [frame["seq"] for frame in log]
    if numbers != list(range(1, len(log) + 1)):
        missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers))
        yield f"its numbers are not 1, 2, 3 ...: missing {missing[:5]}"
        return
    changed = _changed(log)
    count = 0
    for frame in log:
        if frame["t"] == DAMAGED:
            yield f"{frame['seq']} is there, and cannot be read"
            continue
        is_message = frame["t"] == "message"
        count += is_message
        if frame.get("count", 0) != count:
            yield f"{frame['seq']} counts {frame.get('count', 0)} messages, not {count}"
        text = frame.get("text", "")
        if is_message:
            last = changed.get(frame["seq"])
            if last is not None and text != last.get("text", ""):
                yield f"{frame['seq']} has not the text that {last['seq']} gave it"
            if last is not None:
                continue  # the same text as its edit's, or none
        if text and text in texts:
            yield f"{text[:20]!r} is there twice"
        texts.add(text) if text else None


def _changed(log: Iterable[Frame]) -> dict[int, Frame]:
    """For each message that was edited or deleted, the last event that did it."""
    events = (frame for frame in log if frame.get("kind") in ("edited", "deleted"))
    return {frame["of"]: frame for frame in events}


def _faults_of_entry(promise: Promise, log: list[Frame]) -> Iterator[str]:
    what = f"{promise.op} {promise.text[:20]!r} was acknowledged as {promise.room} {promise.seq}"
    if promise.seq > len(log):
        yield f"lost: {what}, and the log ends at {len(log)}"
        return
    frame = log[promise.seq - 1]
    kinds = {"say": None, "edit": "edited", "delete": "deleted"}
    kind, of = frame.get("kind"), frame.get("of", 0)
    if (kind, of, frame["sender"]) != (kinds[promise.op], promise.of, promise.sender):
        yield f"altered: {what}, and there is {frame['t']} {kind} by {frame['sender']}"
    elif promise.op == "edit" and frame.get("text", "") != promise.text:
        later = any(other.get("of") == of for other in log[promise.seq :] if "kind" in other)
        if frame.get("text") or not later:
            yield f"altered: {what}, and has another text"
    elif (
        promise.op == "say"
        and frame["text"] != promise.text
        and not (frame.get("edited") or frame.get("deleted"))
    ):
        yield f"altered: {what}, and has another text"


# --- the rest -------------------------------------------------------------------------------------


def _faults_of_tables(raw: sqlite3.Connection, kept: Kept, made: list[Promise]) -> Iterator[str]:
    done = {(sender, id): (room, seq) for sender, id, room, seq in raw.execute(_DONE)}
    members = set(raw.execute("SELECT room, sender FROM members"))
    accounts = {sender for (sender,) in raw.execute("SELECT sender FROM accounts")}
    sessions = {id for (id,) in raw.execute("SELECT id FROM sessions")}
    marks = {(sender, room): seq for sender, room, seq in raw.execute(_MARKS)}
    for promise in made:
        room = kept.rooms.get(promise.room, 0)
        who = f"{promise.op} of {promise.sender} in {promise.room or 'no room'}"
        match promise.op:
            case "hello" if promise.seq not in sessions:
                yield f"lost: session {promise.seq}"
            case "register" if promise.sender not in accounts:
                yield f"lost: the account of {promise.sender}"
            case "join" if (room, promise.sender) not in members:
                yield f"lost: {who}"
            case "read" if marks.get((promise.sender, room), 0) < promise.seq:
                yield f"lost: {who} up to {promise.seq}"
            case "say" | "edit" | "delete" if done.get((promise.sender, promise.id)) != (
                room,
                promise.seq,
            ):
                yield f"lost: the key of {who} {promise.seq}; repeated, it is done twice"


_DONE = "SELECT sender, id, room, seq FROM done"
_MARKS = "SELECT sender, room, seq FROM marks"

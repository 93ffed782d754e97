"""`hubbub send --id`: a message is stored once, however often the command is run.

The server knows a repeated request by its sender and id, and a guest who comes anew is another
sender. So each run notes, before it says anything, as whom it speaks and where the room stood:

- a later run resumes that session and asks again with the same ids; the server answers alike;
- when that session is over nothing of it can be stored any more, and what was stored stands in the
  room's log under its sender number: the later run reads on from where the room stood, and sends
  only what is not there, as its own new sender, which it notes too;
- once all is acknowledged that is noted, and a later run only says so.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

import hubbub
from hubbub.cli import common
from hubbub.cli.send import line_ids
from hubbub.client import Client
from hubbub.client_link import parse_addresses
from hubbub.errors import Code, OutcomeUnknown, Refused
from hubbub.frames import Message, Ok, Seq

KEEP = 7 * 24 * 3600.0  # seconds that notes are kept, as the server keeps its keys


class Note(msgspec.Struct):
    """What earlier runs did. `stored`: the number of each line that is known to be stored."""

    body: str  # digest of room and texts
    token: str = ""
    senders: list[Seq] = []
    epoch: Seq = 0
    cursor: Seq = 0  # the head of the room before anything was said
    stored: dict[str, Seq] = {}


async def send_once(args: argparse.Namespace, room: str, texts: list[str]) -> list[Ok]:
    """Send `texts`, each stored once over all runs with one --id; their acknowledgements.

    Raises:
        Refused: `conflict`, when the id was used for something else; or what the server says.
        OutcomeUnknown: run it again.
    """
    given: str = args.id
    addresses = common.addresses(args.server)
    where = ",".join(f"{host}:{port}" for host, port in parse_addresses(tuple(addresses)))
    digest = hashlib.sha256(json.dumps([room, texts]).encode()).hexdigest()
    with _locked(_path(where, given)) as path:
        note = _read(path) or Note(digest)
        if note.body != digest:
            raise Refused(Code.CONFLICT, "this --id was used for another room or text")
        if not {str(at) for at in range(len(texts))} <= note.stored.keys():
            client = hubbub.connect(
                *addresses,
                name=args.name,
                visible=False,
                token=note.token or None,
                keep_session=True,  # until all is acknowledged a later run may need it
                agent="hubbub send",
                connect_within=args.connect_within,
            )
            await _send(client, room, texts, line_ids(given, len(texts)), note, path)
        return [Ok(0, room, note.stored[str(at)]) for at in range(len(texts))]


async def _send(
    client: Client, room: str, texts: list[str], ids: list[bytes], note: Note, path: Path
) -> None:
    async with client:
        roster = await client.join(room)
        if not note.senders:
            note.cursor, note.epoch = roster.head, roster.epoch
        elif client.sender not in note.senders:
            await _find(client, room, roster.head, texts, note)
        _note_session(client, note, path)
        left = [at for at in range(len(texts)) if str(at) not in note.stored]
        answers = [(at, client.say_nowait(room, texts[at], id=ids[at])) for at in left]
        try:
            for at, answer in answers:
                note.stored[str(at)] = (await answer).seq
        finally:
            # It may be another session by now, and some lines said by that one.
            _note_session(client, note, path)
            for _, answer in answers:
                answer.cancel()
        client.keep_session = False


def _note_session(client: Client, note: Note, path: Path) -> None:
    note.token = client.token
    if client.sender not in note.senders:
        note.senders.append(client.sender)
    _write(path, note)


async def _find(client: Client, room: str, head: int, texts: list[str], note: Note) -> None:
    """Note which lines were stored by sessions that are over.

    Raises:
        OutcomeUnknown: the log that they were stored in is no longer there.
    """
    if client.epoch != note.epoch:
        raise OutcomeUnknown(
            "the server's history was put back since this --id was used;"
            " look whether the text is there, or use another --id"
        )
    left = [at for at in range(len(texts)) if str(at) not in note.stored]
    cursor = note.cursor
    while cursor < head and left:
        page = await client.history(room, after=cursor, limit=500, epoch=note.epoch)
        for event in page.events:
            cursor = event.seq
            if isinstance(event, Message) and event.sender in note.senders:
                # Lines are stored in their order, so the first that has this text is meant.
                match = next((at for at in left if texts[at] == event.text), None)
                if match is not None:
                    left.remove(match)
                    note.stored[str(match)] = event.seq
        if not page.events:
            return


# --- the notes --------------------------------------------------------------------------------


def _path(where: str, given: str) -> Path:
    directory = common.state_dir() / "send"
    directory.mkdir(mode=0o700, exist_ok=True)
    for old in directory.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > KEEP:
                old.unlink()
    seed = json.dumps([where, os.fsencode(given).hex()]).encode()
    return directory / hashlib.sha256(seed).hexdigest()[:32]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Two runs with one id at the same time go one after the other."""
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(lock)


def _read(path: Path) -> Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Note)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, OSError) as error:  # MsgspecError, or what is no UTF-8
        raise OutcomeUnknown(f"what earlier runs did cannot be read: {path}: {error}") from None


def _write(path: Path, note: Note) -> None:
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(note))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)

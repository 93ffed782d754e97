"""What servers say to the client library, and how a person is shown it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable

from hubbub import client_wire, frames
from hubbub.cli import account, actions, lists, operators, render
from hubbub.client_wire import FrameReader, decode_entries, decode_message, to_exception
from hubbub.errors import RemoteProtocolError
from hubbub.frames import MAX_FRAME, Event, Message
from tests.fuzz import examples, measure
from tests.fuzz.mutate import Bytes
from tests.fuzz.packed import HEADS, Packed
from tests.fuzz.target import Feed, Target, clipped
from tests.fuzz.wires import cut
from tests.hostile import dangers

_NO_JSON = re.compile(r'(?<!\\)": -?(?:NaN|Infinity)\b')  # the value of a field


class Client(Target):
    """Frames of the server, or RemoteProtocolError; and what a person is shown of them is harmless.

    The same however the stream is cut.
    """

    name = "client"
    modules = (client_wire, render, lists)
    # Both halves of the reader keep what is unfinished, and what they grew to for the last chunk.
    bound = 16 * MAX_FRAME

    def __init__(self) -> None:
        words = [*examples.words_of(frames.ServerFrame), b"kicked", b"renamed", b"edited", b"role"]
        self.mutators = (Packed(words), Packed(words), Bytes([*words, *HEADS]))

    def seeds(self) -> Iterable[bytes]:
        yield from examples.frames_of(frames.ServerFrame)
        yield b"\x81\xa1t\xa7unheard" + frames.encoder.encode(frames.Pong(1))
        for kind in ("renamed", "kicked", "role", "edited", "topic", "reacted", "closed", "new"):
            event = frames.Event("lobby", 3, kind, 9, "Radha", 1)
            yield frames.encoder.encode(event)

    def run(self, data: bytes) -> Hashable:
        whole, pieces = self._frames([data]), self._frames(cut(data))
        # Of a chunk that is broken somewhere nothing is taken: the connection is over.
        begun = len(pieces) - 1 if whole and isinstance(whole[-1], str) else 0
        # As bytes, since NaN is not the same as itself.
        same = list(map(frames.encoder.encode, whole)) == [
            frames.encoder.encode(one) for one in pieces[begun:]
        ]
        assert same, "cut otherwise, other frames come out"
        for frame in pieces:
            if not isinstance(frame, str):
                _look_at(frame)
        return tuple(dict.fromkeys(_outcome_of(frame) for frame in pieces[-3:]))

    def parse(self, data: bytes) -> object:
        found = self._frames(cut(data))
        return [_shown(frame) for frame in found if not isinstance(frame, str)]

    def cost(self, data: bytes) -> float:
        reader = FrameReader()
        costs = [measure.seconds(lambda piece=piece: reader.feed(piece)) for piece in cut(data)]  # type: ignore[misc]
        shown = [one for one in self._frames([data]) if not isinstance(one, str)]
        costs += [measure.seconds(lambda one=one: _shown(one)) for one in shown]  # type: ignore[misc]
        return max(costs, default=0.0)

    def feeder(self) -> Feed:
        reader = FrameReader(MAX_FRAME)

        def feed(data: bytes) -> None:
            nonlocal reader
            try:
                reader.feed(data)
            except RemoteProtocolError:
                reader = FrameReader(MAX_FRAME)

        return feed

    def _frames(self, pieces: list[bytes]) -> list[frames.ServerFrame | str]:
        reader = FrameReader()
        found: list[frames.ServerFrame | str] = []
        try:
            for piece in pieces:
                found += [frame for frame, _ in reader.feed(piece)]
        except RemoteProtocolError as error:
            return [*found, clipped(error.text)]
        return found


def assert_harmless(shown: str) -> None:
    """Nothing in a line that is shown is obeyed or hidden by a terminal."""
    # Of letters and digits these alone may be emoji, too (Unicode, emoji-variation-sequences.txt).
    found = dangers(re.sub("[0-9\u2139](?=[\ufe0e\ufe0f])", "\u263a", shown))
    assert not found, f"{found} in {shown!r}"


def _outcome_of(frame: frames.ServerFrame | str) -> str:
    return frame if isinstance(frame, str) else type(frame).__name__


def _look_at(frame: frames.ServerFrame) -> None:
    for line in _shown(frame):
        assert_harmless(line)


def _deeper(work: Callable[[], list[Message | Event]], levels: int = 20) -> list[Message | Event]:
    """Do it where less of the stack is left than where the frame was cut out, as the product does.

    How deep msgspec may go into a value is bounded by what is left.
    """
    return work() if levels == 0 else _deeper(work, levels - 1)


def _shown(frame: frames.ServerFrame) -> list[str]:
    """The lines of a frame, as people and as programs are shown it."""
    entries: list[object] = [frame]
    lines: list[str] = []
    try:
        if isinstance(frame, frames.Page):
            entries += _deeper(lambda: decode_entries(frame.events))
        elif isinstance(frame, frames.Found):
            entries += [decode_message(hit.message) for hit in frame.hits]
            entries += [one for hit in frame.hits for one in decode_entries(hit.before)]
    except RemoteProtocolError:
        pass
    if isinstance(frame, frames.Error):
        assert math.isfinite(to_exception(frame).retry_after or 0), "nobody can wait so long"
    if isinstance(frame, frames.Moving):
        assert math.isfinite(frame.within), "nobody can wait so long"
    if isinstance(frame, frames.Roster):
        lines.append(render.roster_line(frame, 1))
    if isinstance(frame, frames.States):
        lines += map(render.unread_line, frame.rooms)
    lines += lists.table(_rows(frame))
    if isinstance(frame, frames.RestrictionList):
        lines += map(actions.restriction_line, frame.restrictions)
    for entry in entries:
        if not isinstance(entry, frames.Page | frames.Found):  # those are taken apart first
            lines.append(render.json_line(entry))
            assert not _NO_JSON.search(lines[-1]), "a number that JSON has not"
        lines += [line for line in (render.line_of(entry), render.time_of(entry)) if line]  # type: ignore[arg-type]
    return lines


def _rows(frame: frames.ServerFrame) -> list[tuple[str, ...]]:
    """What a command prints of an answer as a table."""
    if isinstance(frame, frames.Report):
        return lists.status_rows(frame, frame.owner)
    if isinstance(frame, frames.RoomList):
        return [lists.room_row(one) for one in frame.rooms]
    if isinstance(frame, frames.PeerList):
        return [lists.peer_row(one) for one in frame.peers]
    if isinstance(frame, frames.Roster):
        return [lists.member_row(one) for one in frame.members]
    if isinstance(frame, frames.States):
        return [lists.unread_row(one) for one in frame.rooms]
    if isinstance(frame, frames.DeviceList):
        return [account.device_row(one) for one in frame.devices]
    if isinstance(frame, frames.AuditLog):
        return [operators.audit_row(one) for one in frame.entries]
    return []

"""The native door's core: bytes in, frames out, whatever the bytes."""

from __future__ import annotations

import typing

import msgpack
import pytest
from hypothesis import assume, given, strategies as st

from gateway.native import ACCEPTS, BadRequest, NativeProtocol, State
from gateway.scan import Scanner
from hubbub import frames
from hubbub.errors import Code, RemoteProtocolError
from hubbub.frames import MAX_FRAME, ClientFrame, encoder

ID = b"0123456789abcdef"
refs = st.integers(0, 2**53 - 1)
names = st.text("abcdefghij-äß漢", min_size=1, max_size=12)
client_frames: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(frames.Say, refs, st.just(ID), names, st.text(min_size=1, max_size=200)),
    st.builds(frames.Join, refs, st.just(ID), names, st.none() | refs, st.integers(0, 2**40)),
    st.builds(frames.History, refs, names, st.none() | refs, st.none(), st.integers(1, 500)),
    st.builds(frames.Ping, refs),
    st.builds(frames.Rooms, refs),
)
chunks = st.lists(st.integers(0, 400), max_size=30)


def ready() -> NativeProtocol:
    """A core whose connection has its session."""
    core = NativeProtocol()
    core.state = State.READY
    return core


def outcome(core: NativeProtocol, pieces: list[bytes]) -> list[object]:
    """All frames that come out; the error that ended it, last."""
    out: list[object] = []
    try:
        for piece in pieces:
            core.receive_data(piece)
            while (frame := core.next_frame()) is not None:
                out.append(frame)
    except RemoteProtocolError as error:
        out.append(error.code)
    return out


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces of the lengths given, the rest last."""
    pieces, at = [], 0
    for length in places:
        pieces.append(data[at : at + length])
        at += length
    return [*pieces, data[at:]]


@given(st.lists(client_frames, max_size=12), chunks)
def test_however_the_stream_is_cut_the_same_frames_come_out(
    said: list[ClientFrame], places: list[int]
) -> None:
    data = b"".join(map(encoder.encode, said))
    assert outcome(ready(), cut(data, places)) == said


# What looks like frames and is not quite: more is found than by bytes alone.
almost = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary(max_size=40) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).map(msgpack.packb)
wrong = st.fixed_dictionaries(
    {"t": st.sampled_from(["say", "ping", "join", "hello", "nonsense", ""]), "ref": refs},
    optional={
        "room": names | st.just("lobby\n") | st.integers(-5, 5),
        "text": st.binary() | st.text(),
    },
).map(msgpack.packb)
garbage = st.lists(
    st.binary(max_size=60) | almost | wrong | client_frames.map(encoder.encode), max_size=6
).map(b"".join)


@given(garbage, chunks)
def test_garbage_gives_frames_or_a_remote_protocol_error_and_nothing_else(
    data: bytes, places: list[int]
) -> None:
    out = outcome(ready(), cut(data, places))
    assert out == outcome(ready(), [data])
    for frame in out:
        assert isinstance(frame, (Code, BadRequest, *ACCEPTS[State.READY]))


@given(garbage)
def test_after_an_error_nothing_more_is_read_or_kept(data: bytes) -> None:
    core = ready()
    out = outcome(core, [data, b"\xc1"])
    assume(out and isinstance(out[-1], Code))
    core.receive_data(data)
    assert core.next_frame() is None
    assert core.buffered == 0


GIGABYTES = [
    b"\xdf\xff\xff\xff\xff",
    b"\x81\xa1a\xc6\xff\xff\xff\xff",
    b"\x81\xa1a\xdb\x00\xff\xff\xff",
]


@pytest.mark.parametrize("begin", GIGABYTES)
def test_a_length_of_gigabytes_is_refused_when_it_is_announced(begin: bytes) -> None:
    assert outcome(ready(), [begin]) == [Code.TOO_LARGE]
    assert outcome(ready(), [begin[:3], begin[3:-1]]) == []


@given(st.integers(1, MAX_FRAME - 8), st.integers(1, 2000))
def test_what_is_kept_of_an_unfinished_frame_is_no_more_than_came(length: int, piece: int) -> None:
    core, sent = ready(), 0
    core.receive_data(b"\x81\xa1t\xc6" + length.to_bytes(4, "big"))
    while core.next_frame() is None and sent + piece < min(length, 9000):
        core.receive_data(b"x" * piece)
        sent += piece
        assert core.buffered == 8 + sent


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_frame_over_the_limit_is_refused_however_it_comes(pieces: int) -> None:
    data = msgpack.packb({"t": "ping", "ref": 1, "more": b"x" * MAX_FRAME})
    half = len(data) // pieces
    assert outcome(ready(), [data[:half], data[half:]]) == [Code.TOO_LARGE]


@pytest.mark.parametrize("deep", [3, 900, 10_000])
def test_a_deep_frame_is_refused(deep: int) -> None:
    nested = b"\x83\xa1t\xa4ping\xa3ref\x01\xa1x" + b"\x91" * deep + b"\x01"
    expected = [frames.Ping(1)] if deep == 3 else [Code.BAD_FRAME]
    assert outcome(ready(), [nested]) == expected
    assert outcome(ready(), [nested[:-1], nested[-1:]]) == expected


@given(almost, st.integers(0, 5), st.integers(1, 60), chunks)
def test_a_scanner_finds_the_end_the_depth_and_the_length_of_any_object(
    data: bytes, deepest: int, most: int, places: list[int]
) -> None:
    def measure(value: object) -> int:
        if isinstance(value, dict):
            return 1 + max(map(measure, value.values()), default=0)
        return 1 + max(map(measure, value), default=0) if isinstance(value, list) else 0

    deep = measure(msgpack.unpackb(data, strict_map_key=False))
    scanner, found, seen = Scanner(most, deepest), None, b""
    try:
        for piece in cut(data + b"more", places):
            seen += piece
            found = found or scanner.scan(seen)
        outcome: object = found
    except RemoteProtocolError as error:
        outcome = error.code
    expected: list[object] = [Code.BAD_FRAME] if deep > deepest else []
    expected += [Code.TOO_LARGE] if len(data) > most else []
    assert outcome in (expected or [len(data)])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"t": "say", "room": "lobby\n", "text": "x", "id": ID}, Code.BAD_NAME),
        (
            {"t": "say", "room": "lobby", "text": "x" * (frames.LONGEST_TEXT + 1), "id": ID},
            Code.TOO_LARGE,
        ),
        ({"t": "say", "room": "lobby", "text": "", "id": ID}, Code.BAD_FRAME),
        ({"t": "say", "room": "lobby", "text": b"\xff", "id": ID}, Code.BAD_FRAME),
        ({"t": "say", "room": "lobby", "text": "x", "id": b"short"}, Code.BAD_FRAME),
        ({"t": "nick", "name": "a b", "id": ID}, Code.BAD_NAME),
        ({"t": "nick", "name": b"ab", "id": ID}, Code.BAD_FRAME),
        ({"t": "rename", "name": "ab", "to": "a b", "id": ID}, Code.BAD_NAME),
        ({"t": "rename", "name": "ab", "to": 3, "id": ID}, Code.BAD_FRAME),
        ({"t": "join", "room": "@a:b", "id": ID}, Code.BAD_NAME),
        ({"t": "topic", "room": "lobby", "text": "x" * 301, "id": ID}, Code.TOO_LARGE),
        ({"t": "kick", "room": "a", "name": "b", "text": "x" * 201, "id": ID}, Code.TOO_LARGE),
        ({"t": "search", "text": "x" * 201}, Code.TOO_LARGE),
        ({"t": "register", "password": "x" * 257, "id": ID}, Code.TOO_LARGE),
        ({"t": "register", "password": b"x", "id": ID}, Code.BAD_FRAME),
        ({"t": "resume", "token": "x", "rooms": {"a b": 1}, "id": ID}, Code.BAD_NAME),
        ({"t": "resume", "token": "x", "rooms": {"lobby": -1}, "id": ID}, Code.BAD_FRAME),
        ({"t": "fly"}, Code.BAD_FRAME),
        ({}, Code.BAD_FRAME),
    ],
)
def test_a_frame_that_names_itself_is_answered_and_the_next_one_read(
    fields: dict[str, object], code: Code
) -> None:
    data = msgpack.packb({"ref": 7} | fields)
    bad, good = outcome(ready(), [data + encoder.encode(frames.Ping(8))])
    assert isinstance(bad, BadRequest)
    assert (bad.ref, bad.code, good) == (7, code, frames.Ping(8))


SECRETS = [
    (kind, field) for kind in typing.get_args(ClientFrame) for field in kind.__struct_fields__
]
SECRETS = [one for one in SECRETS if one[1] in ("password", "old", "new", "token", "key")]


@pytest.mark.parametrize(("kind", "field"), SECRETS)
@pytest.mark.parametrize(
    "value", [b"hunter2", ["hunter2"], {"hunter2": 1}, "hunter2" * 99, 1.5, None]
)
def test_what_is_said_of_a_bad_frame_does_not_quote_a_secret(
    kind: type, field: str, value: object
) -> None:
    """“The decoder's message quotes only a path.”"""
    fields = {"t": kind.__name__.lower(), "ref": 7, "id": ID, "name": "ab", field: value}
    for said in outcome(ready(), [msgpack.packb(fields)]):
        assert "hunter2" not in str(said)


def test_every_frame_of_the_protocol_is_taken_in_one_state_and_greetings_in_the_first() -> None:
    greetings = {frames.Hello, frames.Login, frames.Resume}
    assert ACCEPTS[State.NEW] == greetings
    assert ACCEPTS[State.READY] | greetings == set(typing.get_args(ClientFrame))
    assert not ACCEPTS[State.READY] & greetings


def test_a_peer_that_sends_nothing_but_bad_frames_is_given_up() -> None:
    out = outcome(ready(), [msgpack.packb({"ref": 1, "t": "fly"}) * 1000])
    assert out[-1] == Code.BAD_FRAME
    assert len(out) < 100


greetings: st.SearchStrategy[ClientFrame] = st.one_of(
    st.builds(frames.Hello, refs, st.just(ID)), st.builds(frames.Login, refs, st.just(ID), names)
)


@given(client_frames | greetings, st.sampled_from(State))
def test_a_frame_is_taken_when_the_table_says_so_and_only_then(
    frame: ClientFrame, state: State
) -> None:
    core = NativeProtocol()
    core.state = state
    out = outcome(core, [encoder.encode(frame)])
    if state in (State.WAITING, State.CLOSING):
        assert out == []
    else:
        assert out == [frame if type(frame) in ACCEPTS[state] else Code.WRONG_TIME]


def test_what_comes_before_the_welcome_is_kept_for_afterwards() -> None:
    """A client may pipeline."""
    core = NativeProtocol()
    core.receive_data(encoder.encode(frames.Hello(1, ID)) + encoder.encode(frames.Ping(2)))
    assert core.next_frame() == frames.Hello(1, ID)
    core.state = State.WAITING
    assert core.next_frame() is None
    core.state = State.READY
    assert core.next_frame() == frames.Ping(2)
